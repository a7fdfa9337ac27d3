#include "p2p/multiaddr.hpp"

#include <utility>

#include "codec/multibase.hpp"
#include "testing/fixtures.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

using testing::from_hex;
using testing::to_hex;

constexpr std::string_view kPeer = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
constexpr std::string_view kOther = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
constexpr std::string_view kOnion =
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234";

Multiaddr parsed(std::string_view text) {
    auto address = Multiaddr::parse(text);
    REQUIRE_MESSAGE(address, text);
    return std::move(*address);
}

/// The text of the address after a way through bytes.
std::string rewritten(std::string_view text) {
    const auto again = Multiaddr::from_bytes(parsed(text).bytes());
    REQUIRE_MESSAGE(again, text);
    return again->to_text();
}

Errc text_error(std::string_view text) {
    const auto address = Multiaddr::parse(text);
    REQUIRE_FALSE_MESSAGE(address, text);
    return address.error().code;
}

Errc bytes_error(std::string_view text) {
    const auto address = Multiaddr::from_bytes(from_hex(text));
    REQUIRE_FALSE_MESSAGE(address, text);
    return address.error().code;
}

std::string with_peer(std::string_view text) {
    return std::string(text).append("/p2p/").append(kPeer);
}

}  // namespace

TEST_CASE("addresses have the bytes of go-multiaddr's tests") {
    const std::vector<std::pair<std::string_view, std::string_view>> vectors = {
        {"/ip4/127.0.0.1/udp/1234", "047f000001910204d2"},
        {"/ip4/127.0.0.1/tcp/4321", "047f0000010610e1"},
        {"/ip4/127.0.0.1/udp/1234/ip4/127.0.0.1/tcp/4321", "047f000001910204d2047f0000010610e1"},
        {"/ip6/2001:8a0:7ac5:4201:3ac9:86ff:fe31:7095", "29200108a07ac542013ac986fffe317095"},
        {"/ip4/127.0.0.1/udp/1234/quic-v1", "047f000001910204d2cd03"},
        {kOnion, "bd03adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4cc139ed7e30304d2"}};
    for (const auto& [text, bytes] : vectors) {
        CAPTURE(text);
        CHECK(to_hex(parsed(text).bytes()) == bytes);
        const auto read = Multiaddr::from_bytes(from_hex(bytes));
        REQUIRE(read);
        CHECK(read->to_text() == text);
    }
}

TEST_CASE("every protocol of the table survives the way to bytes and back") {
    // NOLINTBEGIN(bugprone-suspicious-missing-comma): long lines
    for (const std::string& text :
         std::vector<std::string>{"/ip4/1.2.3.4/tcp/0",
                                  "/ip4/1.2.3.4/tcp/65535",
                                  "/ip6/::1/udp/4001/quic",
                                  "/ip6zone/eth0/ip6/fe80::1/tcp/4001",
                                  "/ip4/10.0.0.0/ipcidr/8",
                                  "/dns/example.com/tcp/443/tls/ws",
                                  "/dns4/example.com/tcp/80/ws",
                                  "/dns6/example.com/tcp/443/wss",
                                  "/dnsaddr/bootstrap.libp2p.io",
                                  "/ip4/1.2.3.4/tcp/443/tls/sni/example.com/ws",
                                  "/ip4/1.2.3.4/tcp/443/https",
                                  "/ip4/1.2.3.4/tcp/80/http",
                                  "/ip4/1.2.3.4/tcp/443/tls/http/http-path/a%2Fb%20c",
                                  "/ip4/1.2.3.4/tcp/4001/noise",
                                  "/unix/run/kwaai.socket",
                                  "/memory/1234",
                                  "/memory/18446744073709551615",
                                  "/ip4/1.2.3.4/udp/4001/quic-v1/webtransport/certhash/"
                                  "uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g",
                                  "/ip4/1.2.3.4/udp/4001/webrtc-direct/certhash/"
                                  "uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g",
                                  with_peer("/ip4/1.2.3.4/tcp/4001"),
                                  with_peer(""),
                                  with_peer(with_peer("/ip4/1.2.3.4/tcp/4001/ws") + "/p2p-circuit"),
                                  with_peer("/ip4/1.2.3.4/tcp/4001") + "/p2p-circuit/webrtc"})
        // NOLINTEND(bugprone-suspicious-missing-comma)
        CHECK(rewritten(text) == text);
}

TEST_CASE("other spellings are read and written in the one form") {
    const std::string peer(kPeer);
    const std::vector<std::pair<std::string, std::string>> texts = {
        {"/ip4/1.2.3.4/tcp/80/", "/ip4/1.2.3.4/tcp/80"},
        {"/ip4/1.2.3.4/tcp/80//", "/ip4/1.2.3.4/tcp/80"},
        {"/ip6/2001:DB8:0:0::1/tcp/80", "/ip6/2001:db8::1/tcp/80"},
        {"/ip4/1.2.3.4/tcp/0080", "/ip4/1.2.3.4/tcp/80"},
        {"/ipfs/" + peer, "/p2p/" + peer},
        {"/p2p/bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe",
         "/p2p/" + std::string(kOther)},
        {"/http-path/%61~%e2%82%ac", "/http-path/a~%E2%82%AC"}};
    for (const auto& [text, canonical] : texts)
        CHECK(rewritten(text) == canonical);
}

TEST_CASE("a certificate's hash reads from each multibase") {
    const Multiaddr url = parsed("/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g");
    const auto parts = url.parts();
    REQUIRE(parts.size() == 1);
    for (const codec::Base base : {codec::Base::base16, codec::Base::base32, codec::Base::base58})
        CHECK(parsed("/certhash/" + codec::encode_multibase(base, parts[0].value)) == url);
}

TEST_CASE("a unix path takes the rest of the address") {
    const Multiaddr address = parsed("/unix/a/tcp/80/p2p/x");
    const auto parts = address.parts();
    REQUIRE(parts.size() == 1);
    CHECK(as_text(parts[0].value) == "/a/tcp/80/p2p/x");
    CHECK_FALSE(address.peer());
    CHECK_FALSE(address.tcp_target());
}

TEST_CASE("texts that are wrong say which part and why") {
    const auto context = [](std::string_view text) {
        return Multiaddr::parse(text).error().context;
    };
    CHECK(context("/ip4/1.2.3.400/tcp/80") ==
          "address part /ip4: \"1.2.3.400\" is no IPv4 address");
    CHECK(context("/ip4/1.2.3.4/tcp/65536").find("/tcp") != std::string::npos);
    CHECK(context("/ip4/1.2.3.4/sctp/80").find("\"sctp\"") != std::string::npos);
}

TEST_CASE("broken texts are malformed") {
    for (const std::string& text :
         std::vector<std::string>{"",
                                  "/",
                                  "//",
                                  "ip4/1.2.3.4",
                                  "/ip4",
                                  "/ip4/",
                                  "/ip4/1.2.3",
                                  "/ip4/::1",
                                  "/ip6/1.2.3.4",
                                  "/ip6/fe80::1%eth0",
                                  "/ip4/1.2.3.4/tcp",
                                  "/ip4/1.2.3.4/tcp/x",
                                  "/ip4/1.2.3.4/tcp/-1",
                                  "/ip4/1.2.3.4/tcp/65536",
                                  "/ip4/1.2.3.4/tcp/99999999999999999999",
                                  "/dns",
                                  "/dns4//tcp/80",
                                  "/dns/a b/tcp/80",
                                  "/dns/a\nb",
                                  "/ipcidr/256",
                                  "/ip6zone//ip6/fe80::1",
                                  "/p2p",
                                  "/p2p/abc",
                                  "/p2p/Qm",
                                  "/unix",
                                  "/http-path",
                                  "/http-path/%",
                                  "/http-path/%4",
                                  "/http-path/%zz",
                                  "/certhash/uEiAA",
                                  "/certhash/x",
                                  "/certhash/",
                                  "/memory/18446744073709551616",
                                  "/onion3/abc:80",
                                  "/onion3/" + std::string(56, 'a'),
                                  "/onion3/" + std::string(56, 'a') + ":0",
                                  "/onion3/" + std::string(56, 'a') + ":65536",
                                  "/onion3/" + std::string(55, 'a') + ":80"}) {
        const Errc code = text_error(text);
        CHECK_MESSAGE((code == Errc::malformed || code == Errc::unsupported), text);
    }
}

TEST_CASE("protocols that are not in the table are unsupported") {
    for (const std::string_view text :
         {"/ip4/1.2.3.4/sctp/80", "/foo", "/ip4/1.2.3.4//tcp/80", "/IP4/1.2.3.4", "/utp"})
        CHECK(text_error(text) == Errc::unsupported);
    CHECK(bytes_error("8401") == Errc::unsupported);  // sctp
    CHECK(bytes_error("047f000001"
                      "ae02") == Errc::unsupported);  // utp
}

TEST_CASE("broken bytes are malformed") {
    // NOLINTBEGIN(bugprone-suspicious-missing-comma): codes and values apart
    for (const std::string& bytes :
         std::vector<std::string>{"",
                                  "04",
                                  "047f0000",
                                  "0600",
                                  "80",
                                  "8400",
                                  "047f00000106",
                                  "3600",                  // an empty name
                                  "3605616263",            // a name cut short
                                  "36ffffffffffffffff7f",  // a name beyond all memory
                                  "36036100"
                                  "62",          // a NUL in a name
                                  "3603612f62",  // a slash in a name
                                  "a503"
                                  "00",
                                  "a503"
                                  "020000",  // no peer ids
                                  "d203"
                                  "03122000",  // a multihash cut short
                                  "e10300",    // an empty path of HTTP
                                  "9003"
                                  "0161",
                                  "9003"
                                  "012f",
                                  "9003"
                                  "032f612f",  // no absolute paths
                                  "9003"
                                  "022f61"
                                  "0650",                            // parts behind a path
                                  "bd03" + std::string(74, '0')}) {  // port 0 of an onion address
        // NOLINTEND(bugprone-suspicious-missing-comma)
        CAPTURE(bytes);
        CHECK(bytes_error(bytes) == Errc::malformed);
    }
}

TEST_CASE("addresses have at most 32 parts and 1024 bytes") {
    std::string text;
    for (int i = 0; i < 32; ++i)
        text += "/ws";
    CHECK(parsed(text).parts().size() == 32);
    CHECK(text_error(text + "/ws") == Errc::limit_exceeded);
    const codec::Buffer bytes = from_hex("dd03");
    codec::Buffer many;
    for (int i = 0; i < 33; ++i)
        codec::append(many, bytes);
    CHECK(Multiaddr::from_bytes(many).error().code == Errc::limit_exceeded);
    CHECK(Multiaddr::from_bytes(codec::Buffer(1025)).error().code == Errc::limit_exceeded);
    CHECK(text_error("/dns/" + std::string(1100, 'a')) == Errc::limit_exceeded);
    CHECK(text_error("/dns/" + std::string(100000, 'a')) == Errc::limit_exceeded);
}

TEST_CASE("the peer of an address is its last part") {
    const auto peer = PeerId::parse(kPeer);
    REQUIRE(peer);
    const Multiaddr direct = parsed(with_peer("/ip4/1.2.3.4/tcp/4001"));
    CHECK(direct.peer() == *peer);
    CHECK(direct.without_peer().to_text() == "/ip4/1.2.3.4/tcp/4001");
    CHECK_FALSE(parsed("/ip4/1.2.3.4/tcp/4001").peer());
    CHECK(parsed("/ip4/1.2.3.4/tcp/4001").without_peer().to_text() == "/ip4/1.2.3.4/tcp/4001");
    CHECK(parsed(with_peer("")).without_peer().to_text().empty());
}

TEST_CASE("only the last peer of a relayed address is taken off") {
    const std::string relay = "/ip4/1.2.3.4/tcp/4001/p2p/" + std::string(kOther) + "/p2p-circuit";
    const Multiaddr address = parsed(with_peer(relay));
    CHECK(address.peer()->to_text() == kPeer);
    CHECK(address.without_peer().to_text() == relay);
    CHECK_FALSE(address.without_peer().peer());
    CHECK(address.without_peer().without_peer().to_text() == relay);
}

TEST_CASE("a peer is put behind an address, in place of another one") {
    const auto peer = PeerId::parse(kPeer);
    REQUIRE(peer);
    const std::string text = with_peer("/ip4/1.2.3.4/tcp/4001");
    CHECK(parsed("/ip4/1.2.3.4/tcp/4001").with_peer(*peer).to_text() == text);
    CHECK(parsed("/ip4/1.2.3.4/tcp/4001/p2p/" + std::string(kOther)).with_peer(*peer).to_text() ==
          text);
}

TEST_CASE("plain TCP addresses say where to go") {
    const auto target = parsed(with_peer("/ip6/2001:db8::1/tcp/4001")).tcp_target();
    REQUIRE(target);
    CHECK(target->kind == AddrCode::ip6);
    CHECK(target->host == "2001:db8::1");
    CHECK(target->port == 4001);
    CHECK(parsed("/dns4/example.com/tcp/80").tcp_target()->host == "example.com");
    CHECK(parsed("/ip4/1.2.3.4/tcp/65535").tcp_target()->port == 65535);
    for (const std::string& text : {std::string("/ip4/1.2.3.4"),
                                    std::string("/tcp/80"),
                                    std::string("/dnsaddr/a/tcp/80"),
                                    std::string("/ip4/1.2.3.4/udp/80"),
                                    std::string("/ip4/1.2.3.4/tcp/80/tls"),
                                    std::string("/ip4/1.2.3.4/tcp/80/sni/a/ws"),
                                    std::string("/ip4/1.2.3.4/tcp/80/tls/wss"),
                                    std::string("/ip4/1.2.3.4/tcp/80/tls/sni/a"),
                                    std::string("/ip4/1.2.3.4/tcp/80/ws/ws"),
                                    std::string("/ip4/1.2.3.4/ws"),
                                    std::string("/ws"),
                                    with_peer("/ip4/1.2.3.4/tcp/80") + "/p2p-circuit",
                                    with_peer("")})
        CHECK_FALSE(parsed(text).tcp_target());
}

TEST_CASE("WebSocket addresses say where to go, too") {
    for (const std::string& text :
         {std::string("/dns4/example.com/tcp/80/ws"), with_peer("/dns4/example.com/tcp/80/ws")}) {
        const auto target = parsed(text).tcp_target();
        REQUIRE(target);
        CHECK(target->kind == AddrCode::dns4);
        CHECK(target->host == "example.com");
        CHECK(target->port == 80);
        CHECK(target->transport == Transport::websocket);
    }
    const Multiaddr quic = parsed(with_peer("/ip6/::1/udp/80/quic-v1"));
    CHECK(quic.target()->transport == Transport::quic);
    CHECK(quic.target()->port == 80);
    CHECK_FALSE(quic.tcp_target());
    CHECK_FALSE(parsed("/ip6/::1/tcp/80/quic-v1").target());
    CHECK_FALSE(parsed("/ip6/::1/udp/80").target());
    CHECK(parsed("/ip6/::1/tcp/80").tcp_target()->transport == Transport::tcp);
}

TEST_CASE("addresses of secure WebSockets say whose certificate is expected") {
    const auto target_of = [](const std::string& text) {
        const DialTarget target = parsed(text).tcp_target().value();
        CHECK(target.transport == Transport::secure_websocket);
        CHECK(target.port == 443);
        return target.host + " " + target.server_name;
    };
    CHECK(target_of("/dns4/a.example/tcp/443/tls/ws") == "a.example a.example");
    CHECK(target_of(with_peer("/dns4/a.example/tcp/443/wss")) == "a.example a.example");
    CHECK(target_of("/ip6/::1/tcp/443/tls/ws") == "::1 ::1");
    CHECK(target_of("/ip4/1.2.3.4/tcp/443/tls/sni/a.example/ws") == "1.2.3.4 a.example");
    CHECK(parsed("/ip4/1.2.3.4/tcp/443/ws").tcp_target()->server_name.empty());
    CHECK(Multiaddr::of({"::1", 80}, Transport::secure_websocket)->to_text() ==
          "/ip6/::1/tcp/80/tls/ws");
    CHECK(Multiaddr::of({"::1", 80}, Transport::secure_websocket, "a.example")->to_text() ==
          "/ip6/::1/tcp/80/tls/sni/a.example/ws");
}

TEST_CASE("an address of a socket becomes a multiaddr") {
    CHECK(Multiaddr::of({"::1", 80}, Transport::websocket)->to_text() == "/ip6/::1/tcp/80/ws");
    CHECK(Multiaddr::of({"::1", 80}, Transport::quic)->to_text() == "/ip6/::1/udp/80/quic-v1");
    CHECK(Multiaddr::of({"127.0.0.1", 80})->to_text() == "/ip4/127.0.0.1/tcp/80");
    CHECK(Multiaddr::of({"::1", 4001})->to_text() == "/ip6/::1/tcp/4001");
    CHECK(Multiaddr::of({"localhost", 80}).error().code == Errc::invalid_argument);
    CHECK(Multiaddr::of({"", 80}).error().code == Errc::invalid_argument);
}

TEST_CASE("loopback and unspecified addresses are known as such") {
    for (const std::string_view text : {"/ip4/127.0.0.1/tcp/80",
                                        "/ip4/127.255.0.1",
                                        "/ip6/::1/tcp/1",
                                        "/ip6/::ffff:127.0.0.1/tcp/80"}) {
        CHECK(parsed(text).is_loopback());
        CHECK_FALSE(parsed(text).is_unspecified());
    }
    for (const std::string_view text :
         {"/ip4/0.0.0.0/tcp/80", "/ip6/::/tcp/80", "/ip6/::ffff:0.0.0.0/udp/1"}) {
        CHECK(parsed(text).is_unspecified());
        CHECK_FALSE(parsed(text).is_loopback());
    }
    for (const std::string_view text :
         {"/ip4/128.0.0.1", "/ip6/::2", "/ip6/1::1", "/dns/localhost/tcp/80", "/ws"}) {
        CHECK_FALSE(parsed(text).is_loopback());
        CHECK_FALSE(parsed(text).is_unspecified());
    }
}

TEST_CASE("addresses are ordered by their bytes") {
    CHECK(parsed("/ip4/1.2.3.4/tcp/80") < parsed("/ip4/1.2.3.4/tcp/81"));
    CHECK(parsed("/ip4/1.2.3.4/tcp/80") < parsed("/ip6/::1/tcp/80"));
}
