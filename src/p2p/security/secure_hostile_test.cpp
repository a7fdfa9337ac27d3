// Peers that break the protocol, and connections that break under it.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "p2p/security/noise_vectors_test.hpp"
#include "p2p/security/noise_wire.hpp"
#include "p2p/security/secure_stream.hpp"
#include "p2p/security/secure_world_test.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using io::Stream;
using io::Task;

namespace {

constexpr std::string_view kProposal = "\x13/multistream/1.0.0\n\x07/noise\n";

// What one of our sides makes of bytes that a peer has prepared, with an end behind them.
struct Verdict {
    std::optional<Result<SecureChannel>> channel;
    std::string plain;   // what was read from the channel, up to its end
    std::string answer;  // all that our side sent
};

Task<void> judge(io::TaskGroup& group,
                 std::string input,
                 bool is_inbound,
                 std::optional<PeerId> expected,
                 Verdict& verdict) {
    testing::StreamPair pair = testing::make_stream_pair();
    const bool is_sent = co_await send(*pair.client, input);
    CHECK(is_sent);
    (void)co_await pair.client->shutdown_write();
    static const auto secure = [](std::unique_ptr<Stream> raw,
                                  bool inbound,
                                  std::optional<PeerId> peer,
                                  Verdict& out) -> Task<void> {
        const SecureIdentity identity = inbound ? responder_identity() : initiator_identity();
        const std::vector<Security> securities{Security::noise};
        const std::vector<std::string> muxers{"/yamux/1.0.0"};
        if (inbound) {
            Result<SecureChannel> channel =
                co_await secure_inbound(std::move(raw), identity, muxers);
            out.channel.emplace(std::move(channel));
        } else {
            Result<SecureChannel> channel =
                co_await secure_outbound(std::move(raw), identity, securities, muxers, peer);
            out.channel.emplace(std::move(channel));
        }
        if (!out.channel->has_value()) co_return;
        out.plain = co_await receive(*(*out.channel)->stream, 100000);
        (*out.channel)->stream->close();
    };
    group.spawn(secure, std::move(pair.server), is_inbound, expected, std::ref(verdict));
    verdict.answer = co_await receive(*pair.client, 100000);
}

Verdict judge(std::string input, bool is_inbound, std::optional<PeerId> expected = std::nullopt) {
    Verdict verdict;
    testing::Simulation simulation;
    static const auto scene = [](io::TaskGroup& group,
                                 std::string bytes,
                                 bool inbound,
                                 std::optional<PeerId> peer,
                                 Verdict& out) -> Task<void> {
        return judge(group, std::move(bytes), inbound, std::move(peer), out);
    };
    simulation.run(io::with_group(
        scene, std::move(input), is_inbound, std::move(expected), std::ref(verdict)));
    return verdict;
}

Error error_of(const Verdict& verdict) {
    REQUIRE_FALSE(verdict.channel->has_value());
    return verdict.channel->error();
}

std::string framed(Bytes message) {
    codec::Buffer frame;
    append_noise_frame(frame, message);
    return std::string(as_text(frame));
}

// The bytes of an initiator with the keys of the vectors, to our listener of the vectors.
struct Initiator {
    Initiator() : noise(NoiseRole::initiator, initiator_keys()) {}

    std::string hello(std::string_view payload = "") {
        return std::string(kProposal) + framed(noise.write_message(as_bytes(payload)).value());
    }

    // After hello(): the listener's answer is known, since its keys are.
    std::string identity(Bytes payload) {
        const codec::Buffer answer = from_hex(kNoiseVectors[0].message2);
        REQUIRE(noise.read_message(answer).has_value());
        return framed(noise.write_message(payload).value());
    }

    NoiseHandshake noise;
};

// What a responder with the keys of the vectors answers to our dialler of the vectors.
std::string responder_answer(Bytes payload) {
    NoiseHandshake noise(NoiseRole::responder, responder_keys());
    REQUIRE(noise.read_message(from_hex(kVectorMessage1)).has_value());
    return std::string(kProposal) + framed(noise.write_message(payload).value());
}

// A payload that holds, but for `key`'s signature over another's static key.
codec::Buffer payload_over(const crypto::PrivateKey& key, const crypto::X25519Public& static_key) {
    return write_noise_payload(
        NoisePayload{.identity_key = codec::to_buffer(key.public_key().protobuf()),
                     .identity_signature = key.sign(signed_static_key(static_key)),
                     .muxers = {}});
}

// A secured stream whose other end the test writes by hand.
struct Wire {
    Wire() {
        testing::StreamPair pair = testing::make_stream_pair();
        far = std::move(pair.client);
        near = make_secure_stream(std::move(pair.server),
                                  NoiseCiphers{.sending = NoiseCipher(repeated(1)),
                                               .receiving = NoiseCipher(repeated(2))},
                                  codec::Buffer(),
                                  Bytes());
    }

    std::string record(std::string_view text) {
        codec::Buffer sealed(text.size() + crypto::kTagBytes);
        REQUIRE(sending.seal(Bytes(), as_bytes(text), sealed).has_value());
        return framed(sealed);
    }

    std::unique_ptr<Stream> far;
    std::unique_ptr<Stream> near;
    NoiseCipher sending{repeated(2)};
};

Task<void> expect_closed(Stream& stream) {
    std::array<std::byte, 8> into;
    const Result<std::size_t> read = co_await stream.read_some(into);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().code == Errc::closed);
    const Bytes bytes = as_bytes("x");
    const Result<> written = co_await stream.write(bytes);
    REQUIRE_FALSE(written.has_value());
    CHECK(written.error().code == Errc::closed);
    const Result<> ended = co_await stream.shutdown_write();
    REQUIRE_FALSE(ended.has_value());
    CHECK(ended.error().code == Errc::closed);
}

// The stream gives `text`, then fails with `malformed`, then is closed.
Task<void> expect_broken(Stream& stream, std::string text) {
    const std::string got = co_await receive(stream, text.size());
    CHECK(got == text);
    std::array<std::byte, 8> into;
    const Result<std::size_t> read = co_await stream.read_some(into);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().code == Errc::malformed);
    co_await expect_closed(stream);
}

}  // namespace

TEST_CASE("a handshake in one flight, with data behind it, is accepted") {
    Initiator peer;
    std::string input = peer.hello();
    input += peer.identity(from_hex(kNoiseVectors[0].payload3));
    input += std::string(as_text(from_hex(kVectorHello)));
    const Verdict verdict = judge(input, true);
    REQUIRE_MESSAGE(verdict.channel->has_value(), verdict.channel->error().context);
    CHECK(verdict.plain == "hello");
}

TEST_CASE("a first message with a payload is malformed, and is not answered") {
    const Verdict verdict = judge(Initiator().hello("early data"), true);
    CHECK(error_of(verdict).code == Errc::malformed);
    CHECK(verdict.answer == kProposal);
}

TEST_CASE("handshake messages of wrong sizes are malformed") {
    const std::string proposal(kProposal);
    const std::string big("\x10\x01", 2);  // 4097 bytes
    const std::string biggest("\xff\xff", 2);
    for (const std::string& input : {proposal + big,
                                     proposal + biggest,
                                     proposal + framed(Bytes()),
                                     proposal + framed(codec::Buffer(31)),
                                     proposal + framed(codec::Buffer(33))}) {
        CHECK(error_of(judge(input, true)).code == Errc::malformed);
        CHECK(error_of(judge(input, false)).code == Errc::malformed);
    }
}

TEST_CASE("a connection that ends inside the handshake is closed") {
    Initiator peer;
    std::string input = peer.hello();
    input += peer.identity(from_hex(kNoiseVectors[0].payload3));
    for (std::size_t size = 0; size < input.size(); ++size) {
        CAPTURE(size);
        CHECK(error_of(judge(input.substr(0, size), true)).code == Errc::closed);
    }
    const std::string answer = responder_answer(from_hex(kNoiseVectors[0].payload2));
    for (std::size_t size = 0; size < answer.size(); ++size) {
        CAPTURE(size);
        CHECK(error_of(judge(answer.substr(0, size), false)).code == Errc::closed);
    }
}

TEST_CASE("a handshake message that was changed is malformed") {
    Initiator peer;
    std::string input = peer.hello();
    input += peer.identity(from_hex(kNoiseVectors[0].payload3));
    input.back() ^= 1;
    CHECK(error_of(judge(input, true)).code == Errc::malformed);
    std::string answer = responder_answer(from_hex(kNoiseVectors[0].payload2));
    answer.back() ^= 1;
    const Verdict verdict = judge(answer, false);
    CHECK(error_of(verdict).code == Errc::malformed);
    CHECK(verdict.answer.size() == kProposal.size() + 34);  // nothing after the first flight
}

TEST_CASE(
    "an identity that did not sign the static key of its handshake is malformed (CVE-2022-24759)") {
    const crypto::X25519Public ours = initiator_keys().local_static.public_key;
    const crypto::X25519Public others = responder_keys().local_static.public_key;
    Initiator peer;
    std::string input = peer.hello();
    input += peer.identity(payload_over(key_of_seed(0x55), others));
    CHECK(error_of(judge(input, true)).code == Errc::malformed);
    const std::string answer = responder_answer(payload_over(key_of_seed(0x66), ours));
    CHECK(error_of(judge(answer, false)).code == Errc::malformed);
}

TEST_CASE("a payload that does not parse is malformed") {
    Initiator peer;
    std::string input = peer.hello();
    input += peer.identity(as_bytes("\xff\xff"));
    CHECK(error_of(judge(input, true)).code == Errc::malformed);
    CHECK(error_of(judge(responder_answer(Bytes()), false)).code == Errc::malformed);
}

TEST_CASE("another peer than the expected one is refused, and both are named") {
    const std::string answer = responder_answer(from_hex(kNoiseVectors[0].payload2));
    const PeerId expected = PeerId::of(key_of_seed(1).public_key());
    const Verdict verdict = judge(answer, false, expected);
    const Error error = error_of(verdict);
    CHECK(error.code == Errc::wrong_peer);
    CHECK(error.context.contains(expected.to_text()));
    CHECK(error.context.contains("12D3KooWDN7K2vo9rDBdpWGjDwMsQJaWvSqJxKZKg5ywyS42P8aq"));
    CHECK(verdict.answer.size() == kProposal.size() + 34);
    CHECK(judge(answer, false, PeerId::of(key_of_seed(0x66).public_key())).channel->has_value());
}

TEST_CASE("a peer without Noise is unsupported, and one without multistream malformed") {
    const std::string header = "\x13/multistream/1.0.0\n";
    CHECK(error_of(judge(header + "\x03na\n", false)).code == Errc::unsupported);
    CHECK(error_of(judge("HTTP/1.1 400 Bad Request\r\n\r\n" + std::string(64, ' '), false)).code ==
          Errc::malformed);
    CHECK(error_of(judge("GET / HTTP/1.1\r\n\r\n" + std::string(64, ' '), true)).code ==
          Errc::malformed);
}

TEST_CASE("a listener refuses other protocols and waits for Noise") {
    Initiator peer;
    const std::string header = "\x13/multistream/1.0.0\n";
    std::string input = header + "\x0b/tls/1.0.0\n" + peer.hello().substr(header.size());
    input += peer.identity(from_hex(kNoiseVectors[0].payload3));
    const Verdict verdict = judge(input, true);
    CHECK(verdict.channel->has_value());
    CHECK(verdict.answer.starts_with(header + "\x03na\n\x07/noise\n"));
}

TEST_CASE("a changed record breaks the stream for good") {
    testing::run_task([](testing::Simulation&) -> Task<void> {
        Wire wire;
        std::string input = wire.record("good");
        input += wire.record("changed");
        input.back() ^= 1;
        const bool is_sent = co_await send(*wire.far, input);
        CHECK(is_sent);
        co_await expect_broken(*wire.near, "good");
        const std::string nothing = co_await receive(*wire.far, 1);
        CHECK(nothing.empty());
    });
}

TEST_CASE("a repeated record breaks the stream") {
    testing::run_task([](testing::Simulation&) -> Task<void> {
        Wire wire;
        const std::string record = wire.record("once");
        const bool is_sent = co_await send(*wire.far, record + record);
        CHECK(is_sent);
        co_await expect_broken(*wire.near, "once");
    });
}

TEST_CASE("a record without room for a tag breaks the stream") {
    testing::run_task([](testing::Simulation&) -> Task<void> {
        Wire wire;
        const bool is_sent = co_await send(*wire.far, framed(codec::Buffer(15)));
        CHECK(is_sent);
        co_await expect_broken(*wire.near, "");
    });
}

TEST_CASE("an end inside a record is malformed, and between two an end") {
    testing::run_task([](testing::Simulation&) -> Task<void> {
        Wire cut;
        std::string records = cut.record("whole");
        records += cut.record("half").substr(0, 9);
        const bool is_sent = co_await send(*cut.far, records);
        CHECK(is_sent);
        (void)co_await cut.far->shutdown_write();
        co_await expect_broken(*cut.near, "whole");

        Wire ended;
        const bool is_sent_too = co_await send(*ended.far, ended.record("whole"));
        CHECK(is_sent_too);
        (void)co_await ended.far->shutdown_write();
        const std::string got = co_await receive(*ended.near, 5);
        CHECK(got == "whole");
        std::array<std::byte, 8> into;
        for (int i = 0; i < 2; ++i) {
            const Result<std::size_t> count = co_await ended.near->read_some(into);
            REQUIRE(count.has_value());
            CHECK(*count == 0);
        }
        const bool is_answered = co_await send(*ended.near, "still open");
        CHECK(is_answered);
    });
}

TEST_CASE("a record is not given out where the stream was closed before") {
    testing::run_task([](testing::Simulation&) -> Task<void> {
        Wire wire;
        const bool is_sent = co_await send(*wire.far, wire.record("two parts"));
        CHECK(is_sent);
        const std::string part = co_await receive(*wire.near, 3);
        CHECK(part == "two");
        wire.near->close();
        wire.near->close();
        co_await expect_closed(*wire.near);
    });
}

TEST_CASE("close ends a read and a write that wait") {
    testing::run_task([](testing::Simulation&) -> Task<void> {
        static const auto reading = [](Stream& stream) -> Task<void> {
            std::array<std::byte, 8> into;
            const Result<std::size_t> count = co_await stream.read_some(into);
            REQUIRE_FALSE(count.has_value());
            CHECK(count.error().code == Errc::closed);
        };
        static const auto writing = [](Stream& stream) -> Task<void> {
            const std::string much(1 << 20, 'x');
            const Bytes bytes = as_bytes(much);
            const Result<> written = co_await stream.write(bytes);
            REQUIRE_FALSE(written.has_value());
            CHECK(written.error().code == Errc::closed);
        };
        static const auto scene = [](io::TaskGroup& group, Stream& stream) -> Task<void> {
            group.spawn(reading, std::ref(stream));
            group.spawn(writing, std::ref(stream));
            co_await testing::let_others_run();
            stream.close();
        };
        Wire wire;
        co_await io::with_group(scene, std::ref(*wire.near));
    });
}

TEST_CASE("a read that is cancelled loses nothing, a write that is cancelled ends the stream") {
    testing::run_task([](testing::Simulation& simulation) -> Task<void> {
        using namespace std::chrono_literals;
        Wire wire;
        std::array<std::byte, 8> into;
        const std::string record = wire.record("late");
        const bool is_begun = co_await send(*wire.far, record.substr(0, 7));
        CHECK(is_begun);
        auto read = wire.near->read_some(into);
        const Result<std::size_t> early =
            co_await io::with_timeout(simulation.clock(), 1s, std::move(read));
        REQUIRE_FALSE(early.has_value());
        CHECK(early.error().code == Errc::timed_out);
        const bool is_ended = co_await send(*wire.far, record.substr(7));
        CHECK(is_ended);
        const std::string got = co_await receive(*wire.near, 4);
        CHECK(got == "late");

        const std::string much(1 << 20, 'x');
        auto write = wire.near->write(as_bytes(much));
        const Result<> stuck = co_await io::with_timeout(simulation.clock(), 1s, std::move(write));
        REQUIRE_FALSE(stuck.has_value());
        CHECK(stuck.error().code == Errc::timed_out);
        co_await expect_closed(*wire.near);
    });
}
