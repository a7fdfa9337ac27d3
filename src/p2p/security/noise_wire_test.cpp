// The payload of the handshake: its bytes, whose signature it holds, which muxer comes out.
#include "p2p/security/noise_wire.hpp"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "codec/protobuf.hpp"
#include "p2p/security/noise_keys_test.hpp"
#include "p2p/security/noise_vectors_test.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

using Muxers = std::vector<std::string>;

NoisePayload payload_of(const crypto::PrivateKey& key, const crypto::X25519Public& static_key) {
    return NoisePayload{.identity_key = codec::to_buffer(key.public_key().protobuf()),
                        .identity_signature = key.sign(signed_static_key(static_key)),
                        .muxers = {}};
}

Errc error_of(Bytes bytes) {
    const Result<NoisePayload> payload = read_noise_payload(bytes);
    REQUIRE_FALSE(payload.has_value());
    return payload.error().code;
}

}  // namespace

TEST_CASE("a payload has the bytes of the vectors, and is read back") {
    for (const NoiseVector& vector : kNoiseVectors) {
        NoisePayload payload =
            payload_of(key_of_seed(0x66), responder_keys().local_static.public_key);
        if (vector.has_muxers) payload.muxers = {"/yamux/1.0.0"};
        const codec::Buffer bytes = write_noise_payload(payload);
        CHECK(to_hex(bytes) == vector.payload2);
        const Result<NoisePayload> read = read_noise_payload(bytes);
        REQUIRE(read.has_value());
        CHECK(read->identity_key == payload.identity_key);
        CHECK(read->identity_signature == payload.identity_signature);
        CHECK(read->muxers == payload.muxers);
    }
}

TEST_CASE("unknown fields and other extensions are skipped") {
    codec::Buffer extensions;
    codec::ProtoWriter extension(extensions);
    extension.text(1, "a certificate's hash");
    extension.text(2, "/yamux/1.0.0");
    extension.varint(9, 1);
    codec::Buffer bytes;
    codec::ProtoWriter writer(bytes);
    writer.text(3, "early data of old");
    writer.text(1, "key");
    writer.varint(7, 5);
    writer.text(2, "signature");
    writer.bytes(4, extensions);
    const Result<NoisePayload> read = read_noise_payload(bytes);
    REQUIRE(read.has_value());
    CHECK(as_text(read->identity_key) == "key");
    CHECK(as_text(read->identity_signature) == "signature");
    CHECK(read->muxers == Muxers{"/yamux/1.0.0"});
}

TEST_CASE("a payload without key or signature, or cut anywhere, is malformed") {
    codec::Buffer only_key;
    codec::ProtoWriter(only_key).text(1, "key");
    CHECK(error_of(only_key) == Errc::malformed);
    codec::Buffer only_signature;
    codec::ProtoWriter(only_signature).text(2, "signature");
    CHECK(error_of(only_signature) == Errc::malformed);
    CHECK(error_of(Bytes()) == Errc::malformed);
    const codec::Buffer whole = from_hex(kNoiseVectors[1].payload2);
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK(error_of(Bytes(whole).first(size)) == Errc::malformed);
}

TEST_CASE("a field of the wrong type is malformed") {
    for (const std::uint32_t tag : {1u, 2u, 4u}) {
        codec::Buffer bytes;
        codec::ProtoWriter(bytes).varint(tag, 1);
        CHECK(error_of(bytes) == Errc::malformed);
    }
}

TEST_CASE("the list of muxers has a limit") {
    NoisePayload payload{
        .identity_key = repeated(1), .identity_signature = repeated(2), .muxers = {}};
    payload.muxers.assign(kMuxersMax, "/m");
    CHECK(read_noise_payload(write_noise_payload(payload)).has_value());
    payload.muxers.emplace_back("/m");
    CHECK(error_of(write_noise_payload(payload)) == Errc::limit_exceeded);
}

TEST_CASE("an identity is its owner's, for each kind of key") {
    const crypto::X25519Public static_key = responder_keys().local_static.public_key;
    for (const crypto::KeyType type : {crypto::KeyType::ed25519,
                                       crypto::KeyType::rsa,
                                       crypto::KeyType::secp256k1,
                                       crypto::KeyType::ecdsa}) {
        const crypto::PrivateKey key = crypto::PrivateKey::generate(type).value();
        const PeerId id = PeerId::of(key.public_key());
        const Result<crypto::PublicKey> verified =
            verify_identity(payload_of(key, static_key), static_key, id);
        REQUIRE(verified.has_value());
        CHECK(*verified == key.public_key());
    }
}

TEST_CASE("a signature over another static key, or of another identity, is malformed") {
    const crypto::X25519Public ours = responder_keys().local_static.public_key;
    const crypto::X25519Public others = initiator_keys().local_static.public_key;
    const NoisePayload replayed = payload_of(key_of_seed(1), others);
    NoisePayload borrowed = payload_of(key_of_seed(1), ours);
    borrowed.identity_key = codec::to_buffer(key_of_seed(2).public_key().protobuf());
    NoisePayload changed = payload_of(key_of_seed(1), ours);
    changed.identity_signature.back() ^= std::byte{1};
    NoisePayload cut = payload_of(key_of_seed(1), ours);
    cut.identity_signature.pop_back();
    NoisePayload bare = payload_of(key_of_seed(1), ours);  // signed without the prefix
    bare.identity_signature = key_of_seed(1).sign(ours);
    for (const NoisePayload& payload : {replayed, borrowed, changed, cut, bare}) {
        const Result<crypto::PublicKey> verified = verify_identity(payload, ours, std::nullopt);
        REQUIRE_FALSE(verified.has_value());
        CHECK(verified.error().code == Errc::malformed);
    }
}

TEST_CASE("another peer than the expected one is refused by name") {
    const crypto::X25519Public static_key = responder_keys().local_static.public_key;
    const PeerId expected = PeerId::of(key_of_seed(2).public_key());
    const Result<crypto::PublicKey> verified =
        verify_identity(payload_of(key_of_seed(1), static_key), static_key, expected);
    REQUIRE_FALSE(verified.has_value());
    CHECK(verified.error().code == Errc::wrong_peer);
    CHECK(verified.error().context.contains(PeerId::of(key_of_seed(1).public_key()).to_text()));
    CHECK(verified.error().context.contains(expected.to_text()));
}

TEST_CASE("what is no key is refused") {
    NoisePayload payload = payload_of(key_of_seed(1), responder_keys().local_static.public_key);
    payload.identity_key.push_back(std::byte{0});
    const Result<crypto::PublicKey> verified =
        verify_identity(payload, responder_keys().local_static.public_key, std::nullopt);
    REQUIRE_FALSE(verified.has_value());
    CHECK(verified.error().code == Errc::malformed);
}

TEST_CASE("the muxer is the first of the initiator's list that the responder has") {
    struct Case {
        Muxers initiator;
        Muxers responder;
        std::optional<std::string> chosen;
    };

    const std::vector<Case> cases = {
        {{"/yamux/1.0.0"}, {"/yamux/1.0.0"}, "/yamux/1.0.0"},
        {{"/a", "/b"}, {"/b", "/a"}, "/a"},
        {{"/c", "/b"}, {"/a", "/b"}, "/b"},
        {{"/a"}, {"/b"}, std::nullopt},
        {{}, {"/a"}, std::nullopt},
        {{"/a"}, {}, std::nullopt},
        {{}, {}, std::nullopt},
        {{""}, {""}, ""},
    };
    for (const Case& test : cases)
        CHECK(choose_muxer(test.initiator, test.responder) == test.chosen);
}

TEST_CASE("a frame has its length in front, big end first") {
    codec::Buffer out;
    append_noise_frame(out, codec::Buffer(258));
    CHECK(out.size() == 260);
    CHECK(to_hex(Bytes(out).first(3)) == "010200");
}
