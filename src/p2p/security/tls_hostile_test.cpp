// Peers that break TLS, and connections that break under it.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "p2p/security/tls_certificate.hpp"
#include "p2p/security/tls_world_test.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace std::chrono_literals;
using io::Stream;
using io::Task;

namespace {

constexpr std::string_view kProposal = "\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n";

Task<void> say_nothing(SecureWorld&, Stream&) {
    co_return;
}

Task<void> expect_refusal(SecureWorld&, Stream& stream) {
    std::array<std::byte, 1> byte{};
    const MutableBytes into(byte);
    const Result<std::size_t> count = co_await stream.read_some(into);
    CHECK_FALSE(count.has_value());
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

std::chrono::sys_seconds today() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

// How one of our sides ends with a peer that sends `input` and then no more.
Error verdict(std::string input, bool is_inbound) {
    testing::Simulation simulation;
    std::optional<Error> error;
    static const auto scene =
        [](std::string bytes, bool inbound, std::optional<Error>& out) -> Task<void> {
        testing::StreamPair pair = testing::make_stream_pair();
        const bool is_sent = co_await send(*pair.client, bytes);
        CHECK(is_sent);
        (void)co_await pair.client->shutdown_write();
        const SecureIdentity identity = tls_identity(0x66);
        const std::vector<std::string> muxers{"/yamux/1.0.0"};
        const std::vector<Security> securities{Security::tls};
        if (inbound) {
            const Result<SecureChannel> channel =
                co_await secure_inbound(std::move(pair.server), identity, muxers);
            REQUIRE_FALSE(channel.has_value());
            out = channel.error();
        } else {
            const Result<SecureChannel> channel = co_await secure_outbound(
                std::move(pair.server), identity, securities, muxers, std::nullopt);
            REQUIRE_FALSE(channel.has_value());
            out = channel.error();
        }
    };
    simulation.run(scene(std::move(input), is_inbound, error));
    return *error;
}

}  // namespace

TEST_CASE("rubbish instead of a TLS handshake is malformed for either side") {
    for (const bool is_inbound : {true, false}) {
        const std::string front(kProposal);
        CHECK(verdict(front + std::string(100, 'x'), is_inbound).code == Errc::malformed);
        CHECK(verdict(front + "GET / HTTP/1.1\r\n\r\n", is_inbound).code == Errc::malformed);
        // A record that is larger than any.
        CHECK(verdict(front + std::string("\x16\x03\x03\xff\xff", 5) + std::string(60000, '\0'),
                      is_inbound)
                  .code == Errc::malformed);
        CHECK(verdict(front, is_inbound).code == Errc::closed);
        CHECK(verdict(front + std::string("\x16\x03\x01\x02", 4), is_inbound).code == Errc::closed);
    }
}

TEST_CASE("a handshake that does not end is cut off") {
    // A ClientHello that is said to have 126976 bytes, in records of 1000.
    std::string endless(kProposal);
    const std::string message = std::string("\x01\x01\xf0\x00", 4) + std::string(40000, '\0');
    for (std::size_t i = 0; i + 1000 <= message.size(); i += 1000)
        endless += std::string("\x16\x03\x01\x03\xe8", 5) + message.substr(i, 1000);
    CHECK(verdict(endless, true).code == Errc::limit_exceeded);
}

TEST_CASE("a dialler that reaches another peer over TLS names both, and the listener fails too") {
    TlsWorld world;
    world.expected = PeerId::of(key_of_seed(0x77).public_key());
    world.converse(say_nothing, say_nothing);
    REQUIRE_FALSE((world.client->has_value() || world.server->has_value()));
    CHECK(world.client->error().code == Errc::wrong_peer);
    CHECK(contains(world.client->error().context, world.expected->to_text()));
    CHECK(contains(world.client->error().context,
                   PeerId::of(key_of_seed(0x66).public_key()).to_text()));
    CHECK(world.server->error().code == Errc::malformed);
}

TEST_CASE(
    "a certificate that has expired, or proves nobody, ends the handshake (GHSA-5hq8-qhww-jm7q)") {
    const crypto::CertificateKey key = crypto::CertificateKey::generate();
    const auto long_ago = today() - std::chrono::years(101);
    const std::vector<codec::Buffer> certificates = {
        make_tls_certificate(key, key_of_seed(0x55), long_ago),
        make_tls_certificate(key, key_of_seed(0x55), today() + 2h),
        key.certify({.not_before = today() - 1h, .not_after = today() + 1h, .extensions = {}})};
    for (const codec::Buffer& certificate : certificates) {
        TlsWorld from_listener;
        from_listener.server_identity = SecureIdentity(TlsIdentity(key, certificate));
        from_listener.converse(say_nothing, say_nothing);
        REQUIRE_FALSE(from_listener.client->has_value());
        CHECK(from_listener.client->error().code == Errc::malformed);
        CHECK(contains(from_listener.client->error().context, "the peer's certificate"));

        TlsWorld from_dialler;
        from_dialler.client_identity = SecureIdentity(TlsIdentity(key, certificate));
        from_dialler.converse(expect_refusal, say_nothing);
        REQUIRE_FALSE(from_dialler.server->has_value());
        CHECK(from_dialler.server->error().code == Errc::malformed);
        CHECK(contains(from_dialler.server->error().context, "the peer's certificate"));
    }
}

TEST_CASE("any flight of the handshake with a bit turned ends it") {
    // Of the dialler: ClientHello, Finished; of the listener: header, echo, its whole flight.
    for (const auto& [is_client, call] :
         std::vector<std::pair<bool, std::size_t>>{{true, 0}, {true, 1}, {false, 2}}) {
        CAPTURE(is_client);
        CAPTURE(call);
        TlsWorld world;
        auto& end = is_client ? world.pair.client : world.pair.server;
        end = std::make_unique<TamperingStream>(
            std::move(end), [changed = call](std::size_t number, codec::Buffer& bytes) {
                if (number == changed) bytes[bytes.size() - 1] ^= std::byte{1};
            });
        world.converse(expect_refusal, say_nothing);
        CHECK_FALSE(world.server->has_value());
    }
}

TEST_CASE("a record that was changed or is too large closes the stream, with nothing given out") {
    static constexpr std::string_view kTooLarge("\x17\x03\x03\x41\x01", 5);
    for (const bool is_large : {true, false}) {
        TlsWorld world;
        world.pair.client = std::make_unique<TamperingStream>(
            std::move(world.pair.client), [is_large](std::size_t number, codec::Buffer& bytes) {
                if (number != 2) return;
                bytes.back() ^= std::byte{1};
                if (!is_large) return;
                bytes = codec::to_buffer(as_bytes(kTooLarge));
                bytes.resize(bytes.size() + 0x4101);
            });
        world.converse(
            [](SecureWorld&, Stream& stream) -> Task<void> {
                const bool is_sent = co_await send(stream, "hello");
                CHECK(is_sent);
            },
            [](SecureWorld&, Stream& stream) -> Task<void> {
                std::array<std::byte, 10> bytes{};
                const MutableBytes into(bytes);
                const Result<std::size_t> count = co_await stream.read_some(into);
                REQUIRE_FALSE(count.has_value());
                CHECK(count.error().code == Errc::malformed);
                const Result<std::size_t> again = co_await stream.read_some(into);
                REQUIRE_FALSE(again.has_value());
                CHECK(again.error().code == Errc::closed);
            });
        CHECK(world.server->has_value());
    }
}

TEST_CASE("an end without close_notify is a connection cut off, between records too") {
    TlsWorld world;
    world.converse(
        [](SecureWorld&, Stream& stream) -> Task<void> {
            const bool is_sent = co_await send(stream, "hello");
            CHECK(is_sent);
            stream.close();
        },
        [](SecureWorld&, Stream& stream) -> Task<void> {
            const std::string text = co_await receive(stream, 5);
            CHECK(text == "hello");
            std::array<std::byte, 1> byte{};
            const MutableBytes into(byte);
            const Result<std::size_t> count = co_await stream.read_some(into);
            REQUIRE_FALSE(count.has_value());
            CHECK(count.error().code == Errc::closed);
        });
    CHECK(world.server->has_value());
}
