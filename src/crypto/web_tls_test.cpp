#include "crypto/web_tls.hpp"

#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "testing/web_certificates.hpp"

using namespace kwaai;
using namespace kwaai::crypto;

namespace {

WebServerTls server_of(std::string_view chain, std::string_view key) {
    return WebServerTls::from_pem(as_bytes(chain), as_bytes(key)).value();
}

WebServerTls good_server() {
    return server_of(testing::kWebChain, testing::kWebKey);
}

WebClientTls believer() {
    return WebClientTls::with_authorities(as_bytes(testing::kWebRoot)).value();
}

void move_output(TlsEngine& from, TlsEngine& to) {
    std::vector<std::byte> bytes;
    from.take_output(bytes);
    to.feed(bytes);
}

/// What the client makes of the server, once it is sure.
Result<> shake_hands(TlsEngine& client, TlsEngine& server) {
    for (int i = 0; i < 4; ++i) {
        KWAAI_TRY(const bool is_done, client.handshake());
        move_output(client, server);
        const Result<bool> at_server = server.handshake();
        move_output(server, client);
        if (is_done && at_server == true) return {};
    }
    return fail(Errc::timed_out, "the handshake goes on and on");
}

Result<> reach(const WebClientTls& from, const WebServerTls& to, const std::string& name) {
    KWAAI_TRY(TlsEngine client, from.connect(name));
    TlsEngine server = to.accept();
    KWAAI_CHECKED(shake_hands(client, server));
    CHECK(client.protocol() == "http/1.1");
    CHECK(server.protocol() == "http/1.1");
    return {};
}

std::string refusal(const WebClientTls& from, const WebServerTls& to, const std::string& name) {
    const Result<> reached = reach(from, to, name);
    REQUIRE_FALSE(reached.has_value());
    CHECK(reached.error().code == Errc::malformed);
    return reached.error().context;
}

Error error_of(std::string_view chain, std::string_view key) {
    const auto made = WebServerTls::from_pem(as_bytes(chain), as_bytes(key));
    REQUIRE_FALSE(made.has_value());
    return made.error();
}

}  // namespace

TEST_CASE("a server is reached by all that its certificate is for, through an authority between") {
    const WebClientTls client = believer();
    const WebServerTls server = good_server();
    for (const char* name :
         {"node.example", "NODE.example", "a.wild.example", "localhost", "10.0.0.2", "127.0.0.1"})
        CHECK_MESSAGE(reach(client, server, name).has_value(), name);
}

TEST_CASE(
    "a certificate for others, out of its time or of nobody known is refused with the reason") {
    const WebClientTls client = believer();
    const WebServerTls server = good_server();
    CHECK(refusal(client, server, "other.example").contains("hostname mismatch"));
    CHECK(refusal(client, server, "a.b.wild.example").contains("hostname mismatch"));
    CHECK(refusal(client, server, "10.0.0.3").contains("IP address mismatch"));
    CHECK(refusal(client, server, "10.0.0.3").contains("certificate of 10.0.0.3"));
    const WebServerTls expired = server_of(testing::kWebExpired, testing::kWebExpiredKey);
    CHECK(refusal(client, expired, "node.example").contains("certificate has expired"));
    const WebServerTls alone = server_of(testing::kWebAlone, testing::kWebAloneKey);
    CHECK(refusal(client, alone, "node.example").contains("self-signed certificate"));
    const std::string_view own =
        testing::kWebChain.substr(0, testing::kWebChain.find("\n-----END"));
    const WebServerTls gap =
        server_of(std::string(own) + "\n-----END CERTIFICATE-----\n", testing::kWebKey);
    CHECK(refusal(client, gap, "node.example").contains("unable to get local issuer"));
    CHECK(refusal(WebClientTls(), server, "node.example").contains("issuer"));
}

TEST_CASE("a client that speaks no HTTP/1.1, or an old TLS, is told so") {
    const WebServerTls server = good_server();
    TlsEngine engine = server.accept();
    engine.feed(as_bytes(std::string_view("\x16\x03\x01\x00\x05hello", 10)));
    CHECK(engine.handshake().error().code == Errc::malformed);
    std::vector<std::byte> alert;
    engine.take_output(alert);
    REQUIRE(alert.size() == 7);
    CHECK(alert[0] == std::byte{21});
}

TEST_CASE("a certificate says its names, its end and its IP addresses") {
    const WebServerTls server = good_server();
    CHECK(server.names() == std::vector<std::string>{"node.example", "localhost"});
    CHECK(server.is_for_ip("10.0.0.2"));
    CHECK_FALSE(server.is_for_ip("10.0.0.3"));
    CHECK_FALSE(server.is_for_ip("0.0.0.0"));
    CHECK_FALSE(server.is_for_ip("rubbish"));
    const auto end = server_of(testing::kWebExpired, testing::kWebExpiredKey).not_after();
    CHECK(end == std::chrono::sys_days(std::chrono::January / 1 / 2021));
    CHECK(server.not_after() > std::chrono::sys_days(std::chrono::January / 1 / 2100));
}

TEST_CASE("files that are no certificate and its key are refused") {
    using testing::kWebChain;
    using testing::kWebKey;
    CHECK(error_of("rubbish", kWebKey).code == Errc::malformed);
    CHECK(error_of("", kWebKey).code == Errc::malformed);
    CHECK(error_of(kWebKey, kWebKey).code == Errc::malformed);
    std::string damaged(kWebChain);
    damaged[200] = damaged[200] == 'A' ? 'B' : 'A';
    damaged[100] = '!';
    CHECK(error_of(damaged, kWebKey).code == Errc::malformed);
    CHECK(error_of(kWebChain, "").code == Errc::malformed);
    CHECK(error_of(kWebChain, kWebChain).code == Errc::malformed);
    CHECK(error_of(kWebChain, testing::kWebOtherKey).code == Errc::invalid_argument);
    std::string many;
    for (std::size_t i = 0; i < kWebChainMax; ++i)
        many += kWebChain;
    CHECK(error_of(many, kWebKey).code == Errc::limit_exceeded);
    CHECK(WebClientTls::with_authorities(as_bytes("")).error().code == Errc::malformed);
}

TEST_CASE("what is no name is not dialled") {
    const WebClientTls client = believer();
    for (const std::string& name : {std::string(), std::string("a\0b", 3), std::string(254, 'a')})
        CHECK(client.connect(name).error().code == Errc::invalid_argument);
}
