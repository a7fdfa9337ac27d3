#include "p2p/security/noise_wire.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "codec/protobuf.hpp"
#include "p2p/security/noise_state.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::string_view kSignaturePrefix = "noise-libp2p-static-key:";

Result<> read_extensions(Bytes bytes, NoisePayload& payload) {
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    for (;;) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return {};
        if (field.tag != 2) continue;
        KWAAI_TRY(const std::string_view muxer, codec::field_text(field));
        if (payload.muxers.size() == kMuxersMax)
            return fail(Errc::limit_exceeded,
                        "the peer offers more than " + std::to_string(kMuxersMax) + " muxers");
        payload.muxers.emplace_back(muxer);
    }
}

}  // namespace

codec::Buffer write_noise_payload(const NoisePayload& payload) {
    codec::Buffer bytes;
    codec::ProtoWriter writer(bytes);
    writer.bytes(1, payload.identity_key);
    writer.bytes(2, payload.identity_signature);
    if (!payload.muxers.empty()) {
        codec::Buffer extensions;
        codec::ProtoWriter extension(extensions);
        for (const std::string& muxer : payload.muxers)
            extension.text(2, muxer);
        writer.bytes(4, extensions);
    }
    return bytes;
}

Result<NoisePayload> read_noise_payload(Bytes bytes) {
    NoisePayload payload;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    for (;;) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        if (field.tag != 1 && field.tag != 2 && field.tag != 4) continue;
        KWAAI_TRY(const Bytes value, codec::field_bytes(field));
        if (field.tag == 1) payload.identity_key = codec::to_buffer(value);
        if (field.tag == 2) payload.identity_signature = codec::to_buffer(value);
        if (field.tag == 4) {
            KWAAI_CHECKED(read_extensions(value, payload));
        }
    }
    if (payload.identity_key.empty())
        return fail(Errc::malformed, "a handshake payload without identity key");
    if (payload.identity_signature.empty())
        return fail(Errc::malformed, "a handshake payload without signature");
    return payload;
}

codec::Buffer signed_static_key(const crypto::X25519Public& static_key) {
    codec::Buffer message;
    message.reserve(kSignaturePrefix.size() + static_key.size());
    codec::append(message, kSignaturePrefix);
    codec::append(message, static_key);
    return message;
}

Result<crypto::PublicKey> verify_identity(const NoisePayload& payload,
                                          const crypto::X25519Public& static_key,
                                          const std::optional<PeerId>& expected,
                                          SignatureLimiter* limiter) {
    Result<crypto::PublicKey> key = crypto::PublicKey::from_protobuf(payload.identity_key);
    if (!key) return forward_error(key, "the peer's identity key");
    // Before the signature: the wrong peer is the likelier case, and costs less.
    if (expected && !expected->matches(*key))
        return std::unexpected<Error>(wrong_peer_error(PeerId::of(*key), *expected));
    if (limiter != nullptr) {
        KWAAI_CHECKED(limiter->admit(key->type()));
    }
    if (!key->verify(signed_static_key(static_key), payload.identity_signature))
        return fail(Errc::malformed,
                    "the signature of " + PeerId::of(*key).to_text() +
                        " is not over the static key of its handshake");
    return key;
}

std::optional<std::string> choose_muxer(const std::vector<std::string>& initiator,
                                        const std::vector<std::string>& responder) {
    const auto chosen = std::ranges::find_if(initiator, [&responder](const std::string& muxer) {
        return std::ranges::find(responder, muxer) != responder.end();
    });
    if (chosen == initiator.end()) return std::nullopt;
    return *chosen;
}

void append_noise_frame(codec::Buffer& out, Bytes message) {
    KWAAI_CHECK(message.size() <= kNoiseMessageBytesMax, "a Noise message that fits no frame");
    out.push_back(static_cast<std::byte>(message.size() >> 8));
    out.push_back(static_cast<std::byte>(message.size() & 0xff));
    codec::append(out, message);
}

}  // namespace kwaai::p2p
