// Two sides that keep to the protocol: bytes on the wire, flights, muxers, plaintext.
#include "p2p/security/secure_channel.hpp"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "p2p/security/noise_vectors_test.hpp"
#include "p2p/security/noise_wire.hpp"
#include "p2p/security/secure_world_test.hpp"
#include "testing/fixtures.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using io::Stream;
using io::Task;

namespace {

using Muxers = std::vector<std::string>;

constexpr std::string_view kProposal = "\x13/multistream/1.0.0\n\x07/noise\n";
constexpr std::string_view kHeader = "\x13/multistream/1.0.0\n";
constexpr std::string_view kEcho = "\x07/noise\n";

Task<void> say_hello(SecureWorld&, Stream& stream) {
    const bool is_sent = co_await send(stream, "hello");
    CHECK(is_sent);
    const std::string answer = co_await receive(stream, 5);
    CHECK(answer == "world");
}

Task<void> answer_world(SecureWorld&, Stream& stream) {
    const std::string greeting = co_await receive(stream, 5);
    CHECK(greeting == "hello");
    const bool is_sent = co_await send(stream, "world");
    CHECK(is_sent);
}

codec::Buffer framed(std::string_view hex) {
    codec::Buffer frame;
    append_noise_frame(frame, from_hex(hex));
    return frame;
}

std::string joined(const std::vector<codec::Buffer>& flights) {
    codec::Buffer all;
    for (const codec::Buffer& flight : flights)
        codec::append(all, flight);
    return to_hex(all);
}

}  // namespace

TEST_CASE("the bytes on the wire are those of the vectors, with and without muxers") {
    for (const NoiseVector& vector : kNoiseVectors) {
        SecureWorld world;
        if (!vector.has_muxers) {
            world.client_muxers.clear();
            world.server_muxers.clear();
        }
        world.converse(say_hello, answer_world);
        const std::string ours = to_hex(as_bytes(kProposal)) + to_hex(framed(kVectorMessage1)) +
                                 to_hex(framed(vector.message3)) + std::string(kVectorHello);
        const std::string theirs = to_hex(as_bytes(kHeader)) + to_hex(as_bytes(kEcho)) +
                                   to_hex(framed(vector.message2)) + std::string(kVectorWorld);
        CHECK(joined(world.client_flights) == ours);
        CHECK(joined(world.server_flights) == theirs);
    }
}

TEST_CASE("each side knows who the other is") {
    SecureWorld world;
    world.expected = PeerId::of(key_of_seed(0x66).public_key());
    world.converse(say_hello, answer_world);
    REQUIRE((world.client->has_value() && world.server->has_value()));
    CHECK((*world.client)->remote == *world.expected);
    CHECK((*world.client)->remote_key == key_of_seed(0x66).public_key());
    CHECK((*world.server)->remote == PeerId::of(key_of_seed(0x55).public_key()));
    CHECK((*world.server)->remote.to_text() ==
          "12D3KooWPBFzpNemfrwjMSTSENKAC6cDHxE2RXojcMJRwMtitDms");
}

TEST_CASE("a dial takes two flights until the answer to its first write") {
    SecureWorld world;
    world.converse(say_hello, answer_world);
    REQUIRE(world.client_flights.size() == 2);
    CHECK(world.client_flights[0].size() == kProposal.size() + 2 + 32);
    CHECK(to_hex(world.client_flights[1]).ends_with(kVectorHello));
    // The listener's header waits for nothing; its echo and its message answer the first flight.
    REQUIRE(world.server_flights.size() == 4);
    CHECK(as_text(world.server_flights[0]) == kHeader);
}

TEST_CASE("the last message leaves by itself where the dialler only listens") {
    SecureWorld world;
    world.converse(
        [](SecureWorld& w, Stream& stream) -> Task<void> {
            CHECK(w.client_flights.size() == 1);
            const std::string greeting = co_await receive(stream, 2);
            CHECK(greeting == "hi");
        },
        [](SecureWorld&, Stream& stream) -> Task<void> {
            const bool is_sent = co_await send(stream, "hi");
            CHECK(is_sent);
        });
    CHECK(world.client_flights.size() == 2);
}

TEST_CASE("the last message takes along a write that is made in the same turn as a read") {
    SecureWorld world;
    world.converse(
        [](SecureWorld& w, Stream& stream) -> Task<void> {
            static const auto reading = [](Stream& from) -> Task<void> {
                const std::string answer = co_await receive(from, 5);
                CHECK(answer == "world");
            };
            static const auto writing = [](Stream& to) -> Task<void> {
                const bool is_sent = co_await send(to, "hello");
                CHECK(is_sent);
            };
            static const auto both = [](io::TaskGroup& group, Stream& own) -> Task<void> {
                group.spawn(reading, std::ref(own));
                group.spawn(writing, std::ref(own));
                co_return;
            };
            co_await io::with_group(both, std::ref(stream));
            CHECK(w.client_flights.size() == 2);
        },
        answer_world);
}

TEST_CASE("a write waits where the last message is leaving by itself") {
    // So little room that the flush of the reader is still under way when the write comes.
    SecureWorld world({.seed = 3, .capacity = kProposal.size()});
    world.converse(
        [](SecureWorld&, Stream& stream) -> Task<void> {
            static const auto reading = [](Stream& from) -> Task<void> {
                const std::string answer = co_await receive(from, 5);
                CHECK(answer == "world");
            };
            static const auto both = [](io::TaskGroup& group, Stream& own) -> Task<void> {
                group.spawn(reading, std::ref(own));
                co_await io::yield();
                co_await io::yield();
                const bool is_sent = co_await send(own, "hello");
                CHECK(is_sent);
            };
            co_await io::with_group(both, std::ref(stream));
        },
        answer_world);
}

TEST_CASE("the muxer is agreed where both sides offer one in common, by the initiator's order") {
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
        SecureWorld world;
        world.client_muxers = test.client;
        world.server_muxers = test.server;
        world.converse(say_hello, answer_world);
        REQUIRE((world.client->has_value() && world.server->has_value()));
        CHECK((*world.client)->muxer == test.chosen);
        CHECK((*world.server)->muxer == test.chosen);
    }
}

TEST_CASE("identities of all kinds secure a channel") {
    for (const crypto::KeyType type : {crypto::KeyType::rsa,
                                       crypto::KeyType::ed25519,
                                       crypto::KeyType::secp256k1,
                                       crypto::KeyType::ecdsa}) {
        const crypto::PrivateKey key = crypto::PrivateKey::generate(type).value();
        SecureWorld world;
        world.client_identity = SecureIdentity(NoiseIdentity(key, nullptr));
        world.server_identity = SecureIdentity(NoiseIdentity(key, nullptr));
        world.expected = PeerId::of(key.public_key());
        world.converse(say_hello, answer_world);
        REQUIRE((world.client->has_value() && world.server->has_value()));
        CHECK((*world.server)->remote == *world.expected);
    }
}

TEST_CASE("an RSA key of 8192 bits fits the handshake") {
    // Its sizes, not its mathematics: such a key takes a minute to make.
    const NoisePayload payload{.identity_key = codec::Buffer(1062 + 8),
                               .identity_signature = codec::Buffer(1024),
                               .muxers = Muxers(kMuxersMax, "/yamux/1.0.0")};
    CHECK(write_noise_payload(payload).size() + 32 + 48 + 16 < Limits().noise_handshake_bytes_max);
}

TEST_CASE("megabytes cross in both directions at once, however the bytes are cut") {
    const std::uint64_t seed = testing::seed(1);
    for (std::uint64_t i = 0; i < 6; ++i) {
        CAPTURE(seed + i);
        SecureWorld world({.seed = seed + i, .capacity = i % 2 == 0 ? 200000u : 3000u});
        static const auto talk = [](SecureWorld&, Stream& stream) -> Task<void> {
            static const auto sending = [](Stream& to, const std::string& text) -> Task<void> {
                const std::vector<Bytes> parts = {as_bytes(text).first(12),
                                                  as_bytes(text).subspan(12, 70000),
                                                  as_bytes(text).subspan(70012)};
                const Result<> written = co_await to.write(parts);
                CHECK(written.has_value());
            };
            static const auto both =
                [](io::TaskGroup& group, Stream& own, const std::string& text) -> Task<void> {
                group.spawn(sending, std::ref(own), std::cref(text));
                const std::string got = co_await receive(own, text.size());
                CHECK((got == text));
            };
            std::string text(700000, '\0');
            for (std::size_t k = 0; k < text.size(); ++k)
                text[k] = static_cast<char>(k * 7 >> 2);
            co_await io::with_group(both, std::ref(stream), std::cref(text));
        };
        world.converse(talk, talk);
    }
}

TEST_CASE("a handshake survives any cut of its bytes") {
    const std::uint64_t seed = testing::seed(1);
    for (std::uint64_t i = 0; i < 30; ++i) {
        CAPTURE(seed + i);
        // Less than the listener's header and echo, and both sides would wait in their writes.
        SecureWorld world({.seed = seed + i, .capacity = kProposal.size() + i % 7});
        world.converse(say_hello, answer_world);
        CHECK(world.client->has_value());
        CHECK(world.server->has_value());
    }
}

TEST_CASE("a half-close passes through, and takes the last message along") {
    SecureWorld world;
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
