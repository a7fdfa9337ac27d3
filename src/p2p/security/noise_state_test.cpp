// The handshake against published vectors (cacophony, snow) and libp2p's own, and what breaks it.
#include "p2p/security/noise_state.hpp"

#include <limits>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "json/document.hpp"
#include "p2p/security/noise_keys_test.hpp"
#include "testing/fixtures.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

struct Sides {
    explicit Sides(Bytes prologue = Bytes())
        : initiator(NoiseRole::initiator, initiator_keys(), prologue),
          responder(NoiseRole::responder, responder_keys(), prologue) {}

    // The three messages with these payloads, read by the other side.
    void shake_hands() {
        pass(initiator, responder, "");
        pass(responder, initiator, "second");
        pass(initiator, responder, "third");
    }

    static void pass(NoiseHandshake& from, NoiseHandshake& to, std::string_view payload) {
        const Result<codec::Buffer> message = from.write_message(as_bytes(payload));
        REQUIRE(message.has_value());
        const Result<codec::Buffer> read = to.read_message(*message);
        REQUIRE(read.has_value());
        CHECK(as_text(*read) == payload);
    }

    NoiseHandshake initiator;
    NoiseHandshake responder;
};

codec::Buffer field(const json::Value& value, std::string_view key) {
    const Result<json::Value> found = value.at(key);
    REQUIRE(found.has_value());
    return from_hex(found->string().value());
}

// One vector: handshake messages in turn, then transport messages in turn.
void check_vector(const json::Value& vector) {
    NoiseHandshake initiator(
        NoiseRole::initiator,
        noise_keys(field(vector, "init_static"), field(vector, "init_ephemeral")),
        field(vector, "init_prologue"));
    NoiseHandshake responder(
        NoiseRole::responder,
        noise_keys(field(vector, "resp_static"), field(vector, "resp_ephemeral")),
        field(vector, "resp_prologue"));
    std::optional<NoiseCiphers> ciphers[2];
    std::size_t index = 0;
    const json::Array messages = vector.at("messages").value().array().value();
    for (const json::Value message : messages) {
        CAPTURE(index);
        const codec::Buffer payload = field(message, "payload");
        const codec::Buffer expected = field(message, "ciphertext");
        const bool is_initiators = index % 2 == 0;
        if (index < 3) {
            NoiseHandshake& writer = is_initiators ? initiator : responder;
            NoiseHandshake& reader = is_initiators ? responder : initiator;
            REQUIRE(to_hex(writer.write_message(payload).value()) == to_hex(expected));
            REQUIRE(to_hex(reader.read_message(expected).value()) == to_hex(payload));
        } else {
            if (!ciphers[0]) {
                ciphers[0].emplace(initiator.split());
                ciphers[1].emplace(responder.split());
            }
            codec::Buffer sealed(payload.size() + crypto::kTagBytes);
            REQUIRE(
                ciphers[is_initiators ? 0 : 1]->sending.seal(Bytes(), payload, sealed).has_value());
            CHECK(to_hex(sealed) == to_hex(expected));
            const MutableBytes plain = MutableBytes(sealed).first(payload.size());
            REQUIRE(
                ciphers[is_initiators ? 1 : 0]->receiving.open(Bytes(), sealed, plain).has_value());
            CHECK(to_hex(plain) == to_hex(payload));
        }
        ++index;
    }
    CHECK(initiator.hash() == responder.hash());
    if (vector.find("handshake_hash"))
        CHECK(to_hex(initiator.hash()) == to_hex(field(vector, "handshake_hash")));
}

}  // namespace

TEST_CASE("the published vectors of XX are matched byte for byte") {
    KWAAI_FIXTURE(path, "libp2p/noise/Noise_XX_25519_ChaChaPoly_SHA256.json");
    const Result<json::Document> document = json::parse(testing::read_text(path));
    REQUIRE(document.has_value());
    const json::Array vectors = document->root().at("vectors").value().array().value();
    CHECK(vectors.size() == 2);
    for (const json::Value vector : vectors)
        check_vector(vector);
}

TEST_CASE("both sides end with the same hash and each other's static keys") {
    Sides sides;
    sides.shake_hands();
    CHECK(sides.initiator.is_finished());
    CHECK(sides.responder.is_finished());
    CHECK(sides.initiator.hash() == sides.responder.hash());
    CHECK(sides.initiator.remote_static() == responder_keys().local_static.public_key);
    CHECK(sides.responder.remote_static() == initiator_keys().local_static.public_key);
}

TEST_CASE("the sides take turns") {
    Sides sides;
    CHECK(sides.initiator.is_our_turn());
    CHECK_FALSE(sides.responder.is_our_turn());
    sides.shake_hands();
    CHECK_FALSE(sides.initiator.is_our_turn());
    CHECK_FALSE(sides.responder.is_our_turn());
}

TEST_CASE("a different prologue is a different conversation") {
    NoiseHandshake initiator(NoiseRole::initiator, initiator_keys(), as_bytes("ours"));
    NoiseHandshake responder(NoiseRole::responder, responder_keys(), as_bytes("theirs"));
    REQUIRE(responder.read_message(initiator.write_message(Bytes()).value()).has_value());
    const Result<codec::Buffer> read =
        initiator.read_message(responder.write_message(Bytes()).value());
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().code == Errc::malformed);
}

TEST_CASE("each changed bit of the second and third message is noticed") {
    Sides original;
    const codec::Buffer first = original.initiator.write_message(Bytes()).value();
    REQUIRE(original.responder.read_message(first).has_value());
    const codec::Buffer second = original.responder.write_message(as_bytes("second")).value();
    REQUIRE(original.initiator.read_message(second).has_value());
    const codec::Buffer third = original.initiator.write_message(as_bytes("third")).value();
    for (std::size_t bit = 0; bit < second.size() * 8; bit += 5) {
        CAPTURE(bit);
        // X25519 ignores the highest bit of a key, but the hash does not.
        codec::Buffer changed = second;
        changed[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
        Sides sides;
        REQUIRE(sides.responder.read_message(sides.initiator.write_message(Bytes()).value()));
        CHECK_FALSE(sides.initiator.read_message(changed).has_value());
    }
    for (std::size_t bit = 0; bit < third.size() * 8; bit += 5) {
        CAPTURE(bit);
        codec::Buffer changed = third;
        changed[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
        Sides sides;
        REQUIRE(sides.responder.read_message(first).has_value());
        REQUIRE(sides.responder.write_message(as_bytes("second")).has_value());
        CHECK_FALSE(sides.responder.read_message(changed).has_value());
    }
}

TEST_CASE("each cut of a message is noticed") {
    Sides sides;
    const codec::Buffer first = sides.initiator.write_message(Bytes()).value();
    for (std::size_t size = 0; size < first.size(); ++size) {
        NoiseHandshake responder(NoiseRole::responder, responder_keys());
        CHECK_FALSE(responder.read_message(Bytes(first).first(size)).has_value());
    }
    REQUIRE(sides.responder.read_message(first).has_value());
    const codec::Buffer second = sides.responder.write_message(as_bytes("second")).value();
    for (std::size_t size = 0; size < second.size(); ++size) {
        NoiseHandshake initiator(NoiseRole::initiator, initiator_keys());
        REQUIRE(initiator.write_message(Bytes()).has_value());
        CHECK_FALSE(initiator.read_message(Bytes(second).first(size)).has_value());
    }
}

TEST_CASE("an ephemeral key that gives no secret is refused") {
    NoiseHandshake responder(NoiseRole::responder, responder_keys());
    const codec::Buffer zeros(32);
    REQUIRE(responder.read_message(zeros).has_value());
    const Result<codec::Buffer> answer = responder.write_message(Bytes());
    REQUIRE_FALSE(answer.has_value());
    CHECK(answer.error().code == Errc::malformed);
}

TEST_CASE("a message has at most 65535 bytes") {
    NoiseHandshake initiator(NoiseRole::initiator, initiator_keys());
    const codec::Buffer payload(65536);
    const Result<codec::Buffer> message = initiator.write_message(payload);
    REQUIRE_FALSE(message.has_value());
    CHECK(message.error().code == Errc::limit_exceeded);
    NoiseHandshake responder(NoiseRole::responder, responder_keys());
    const Result<codec::Buffer> read = responder.read_message(payload);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().code == Errc::malformed);
}

TEST_CASE("the reserved nonce is used neither to seal nor to open (RUSTSEC-2024-0011)") {
    constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max() - 1;
    const codec::Buffer key = repeated(7);
    NoiseCipher sending(key, kLast);
    NoiseCipher receiving(key, kLast);
    codec::Buffer sealed(1 + crypto::kTagBytes);
    codec::Buffer plain(1);
    CHECK(sending.seal(Bytes(), as_bytes("a"), sealed).has_value());
    CHECK(receiving.open(Bytes(), sealed, plain).has_value());
    const Result<> sent = sending.seal(Bytes(), as_bytes("b"), sealed);
    REQUIRE_FALSE(sent.has_value());
    CHECK(sent.error().code == Errc::limit_exceeded);
    const Result<> opened = receiving.open(Bytes(), sealed, plain);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().code == Errc::limit_exceeded);
}

TEST_CASE("a record is opened once, and in its place (CVE-2021-4239)") {
    const codec::Buffer key = repeated(7);
    NoiseCipher sending(key);
    codec::Buffer first(5 + crypto::kTagBytes);
    codec::Buffer second(6 + crypto::kTagBytes);
    REQUIRE(sending.seal(Bytes(), as_bytes("first"), first).has_value());
    REQUIRE(sending.seal(Bytes(), as_bytes("second"), second).has_value());
    codec::Buffer plain(6);
    NoiseCipher skipping(key);
    CHECK_FALSE(skipping.open(Bytes(), second, plain).has_value());
    NoiseCipher repeating(key);
    CHECK(repeating.open(Bytes(), first, MutableBytes(plain).first(5)).has_value());
    CHECK_FALSE(repeating.open(Bytes(), first, MutableBytes(plain).first(5)).has_value());
}
