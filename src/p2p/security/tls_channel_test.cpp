// TLS between two sides that keep to the protocol: who they are, muxers, flights, ends.
#include "p2p/security/tls_channel.hpp"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "p2p/security/tls_world_test.hpp"
#include "testing/fixtures.hpp"
#include "testing/stream_conformance.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using io::Stream;
using io::Task;

namespace {

using Muxers = std::vector<std::string>;

constexpr std::string_view kProposal = "\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n";

using Channel = std::optional<Result<SecureChannel>>;

Task<void> listening(std::unique_ptr<Stream> raw, Channel& channel) {
    const SecureIdentity identity = tls_identity(0x66);
    const Muxers muxers;
    Result<SecureChannel> secured = co_await secure_inbound(std::move(raw), identity, muxers);
    channel.emplace(std::move(secured));
}

Task<void> secure(io::TaskGroup& group,
                  testing::StreamPair& pair,
                  Channel& dialler,
                  Channel& listener) {
    group.spawn(listening, std::move(pair.server), std::ref(listener));
    const SecureIdentity identity = tls_identity(0x55);
    const std::vector<Security> securities{Security::tls};
    const Muxers muxers;
    Result<SecureChannel> secured = co_await secure_outbound(
        std::move(pair.client), identity, securities, muxers, std::nullopt);
    REQUIRE(secured.has_value());
    dialler.emplace(std::move(secured));
}

template <std::uint64_t kSeed, bool kIsDiallerFirst>
Task<void> with_tls_pair(testing::Simulation& simulation, testing::StreamCaseBody body) {
    // Each of the suite's writes of one byte becomes a record of twenty-three.
    testing::StreamPair pair = testing::make_stream_pair({.seed = kSeed, .capacity = 80 << 10});
    Channel dialler;
    Channel listener;
    co_await io::with_group(secure, std::ref(pair), std::ref(dialler), std::ref(listener));
    REQUIRE(listener->has_value());
    Stream* const first = (kIsDiallerFirst ? *dialler : *listener)->stream.get();
    Stream* const second = (kIsDiallerFirst ? *listener : *dialler)->stream.get();
    co_await body(simulation, *first, *second);
}

}  // namespace

TEST_CASE("a TLS connection is a stream") {
    testing::check_stream_conformance(with_tls_pair<0, true>);
    testing::check_stream_conformance(with_tls_pair<0, false>);
}

TEST_CASE("a TLS connection whose bytes arrive in pieces is a stream") {
    testing::check_stream_conformance(with_tls_pair<3, true>);
    testing::check_stream_conformance(with_tls_pair<4, false>);
}

TEST_CASE("each side of TLS knows who the other is, whatever kind its key has") {
    for (const crypto::KeyType type : {crypto::KeyType::rsa,
                                       crypto::KeyType::ed25519,
                                       crypto::KeyType::secp256k1,
                                       crypto::KeyType::ecdsa}) {
        const crypto::PrivateKey key = crypto::PrivateKey::generate(type).value();
        TlsWorld world;
        world.client_identity = SecureIdentity(TlsIdentity(key));
        world.expected = PeerId::of(key_of_seed(0x66).public_key());
        world.converse(say_hello, answer_world);
        REQUIRE((world.client->has_value() && world.server->has_value()));
        CHECK((*world.client)->remote == *world.expected);
        CHECK((*world.server)->remote_key == key.public_key());
        CHECK((*world.server)->remote == PeerId::of(key.public_key()));
    }
}

TEST_CASE("the ClientHello leaves with the proposal, and no answer is awaited in between") {
    TlsWorld world;
    world.converse(say_hello, answer_world);
    REQUIRE(world.client_flights.size() == 3);
    const std::string first(as_text(world.client_flights[0]));
    CHECK(first.starts_with(kProposal));
    CHECK(first.substr(kProposal.size(), 2) == "\x16\x03");
    // What the dialler writes itself follows its Finished without waiting: two round trips.
    REQUIRE(world.server_flights.size() == 4);
}

TEST_CASE("TLS agrees on the muxer by the dialler's order, or leaves it to multistream-select") {
    struct Case {
        Muxers client;
        Muxers server;
        std::optional<std::string> chosen;
    };

    const std::vector<Case> cases = {{{"/yamux/1.0.0"}, {"/yamux/1.0.0"}, "/yamux/1.0.0"},
                                     {{"/a", "/b"}, {"/b", "/a"}, "/a"},
                                     {{"/a"}, {"/b"}, std::nullopt},
                                     {{}, {"/a"}, std::nullopt},
                                     {{"/a"}, {}, std::nullopt},
                                     {{}, {}, std::nullopt}};
    for (const Case& test : cases) {
        TlsWorld world;
        world.client_muxers = test.client;
        world.server_muxers = test.server;
        world.converse(say_hello, answer_world);
        REQUIRE((world.client->has_value() && world.server->has_value()));
        CHECK((*world.client)->muxer == test.chosen);
        CHECK((*world.server)->muxer == test.chosen);
    }
}

TEST_CASE("a TLS handshake survives any cut of its bytes") {
    const std::uint64_t seed = testing::seed(1);
    for (std::uint64_t i = 0; i < 20; ++i) {
        CAPTURE(seed + i);
        TlsWorld world({.seed = seed + i, .capacity = 40 + i % 7});
        world.converse(say_hello, answer_world);
        CHECK(world.client->has_value());
        CHECK(world.server->has_value());
    }
}

TEST_CASE("a dialler that prefers TLS is given Noise on the same connection where that is spoken") {
    TlsWorld world;
    world.client_identity =
        SecureIdentity(key_of_seed(0x55), {Security::tls, Security::noise}, nullptr);
    world.securities = {Security::tls, Security::noise};
    world.server_identity = responder_identity();
    world.converse(say_hello, answer_world);
    REQUIRE((world.client->has_value() && world.server->has_value()));
    CHECK((*world.client)->remote == PeerId::of(key_of_seed(0x66).public_key()));
    CHECK(as_text(world.client_flights[1]) == "\x07/noise\n");
}

TEST_CASE("a listener with both takes what is proposed first") {
    for (const bool is_tls_first : {true, false}) {
        TlsWorld world;
        world.securities = {Security::noise, Security::tls};
        if (is_tls_first) std::swap(world.securities[0], world.securities[1]);
        world.client_identity = SecureIdentity(key_of_seed(0x55), world.securities, nullptr);
        world.server_identity = SecureIdentity(key_of_seed(0x66), world.securities, nullptr);
        world.converse(say_hello, answer_world);
        REQUIRE((world.client->has_value() && world.server->has_value()));
        const std::string first(as_text(world.client_flights[0]));
        CHECK((first.find("/tls/1.0.0") != std::string::npos) == is_tls_first);
        CHECK((first.find("/noise") != std::string::npos) != is_tls_first);
    }
}

TEST_CASE("a dialler that bets on a security which is refused says unsupported") {
    for (const bool is_tls : {true, false}) {
        TlsWorld world;
        world.client_identity = is_tls ? tls_identity(0x55) : initiator_identity();
        world.server_identity = is_tls ? responder_identity() : tls_identity(0x66);
        world.securities = {is_tls ? Security::tls : Security::noise};
        world.converse(say_hello, answer_world);
        REQUIRE_FALSE(world.client->has_value());
        CHECK(world.client->error().code == Errc::unsupported);
    }
}

TEST_CASE("a half-close passes through TLS") {
    TlsWorld world;
    world.converse(
        [](SecureWorld&, Stream& stream) -> Task<void> {
            const Result<> ended = co_await stream.shutdown_write();
            CHECK(ended.has_value());
            const std::string answer = co_await receive(stream, 100);
            CHECK(answer == "bye");
        },
        [](SecureWorld&, Stream& stream) -> Task<void> {
            const std::string nothing = co_await receive(stream, 1);
            CHECK(nothing.empty());
            const bool is_sent = co_await send(stream, "bye");
            CHECK(is_sent);
            stream.close();
        });
}
