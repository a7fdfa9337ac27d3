// What libp2p says inside Noise's handshake: who owns the static key, and which muxers it has
// (libp2p specs, noise/README.md).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "crypto/key.hpp"
#include "crypto/x25519.hpp"
#include "p2p/bounds/signature_limiter.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

constexpr std::string_view kNoiseProtocol = "/noise";
constexpr std::size_t kMuxersMax = 100;

/// NoiseHandshakePayload { identity_key = 1, identity_sig = 2, extensions = 4 {
/// webtransport_certhashes = 1, stream_muxers = 2 } }.
struct NoisePayload {
    codec::Buffer identity_key;        // serialized PublicKey
    codec::Buffer identity_signature;  // over signed_static_key()
    std::vector<std::string> muxers;   // the one extension that we use; none: not sent
};

[[nodiscard]] codec::Buffer write_noise_payload(const NoisePayload& payload);

/// `Errc::malformed`, also where key or signature is missing; `limit_exceeded` for more than
/// kMuxersMax muxers. Unknown fields are skipped.
[[nodiscard]] Result<NoisePayload> read_noise_payload(Bytes bytes);

/// What an identity signs: "noise-libp2p-static-key:" and the static key.
[[nodiscard]] codec::Buffer signed_static_key(const crypto::X25519Public& static_key);

/// The identity key of `payload` where its signature is over `static_key`; `Errc::malformed` else,
/// and where that key does not belong to `expected` (the message names both ids).
/// @param limiter asked before the signature is verified, and its error given; may be null
[[nodiscard]] Result<crypto::PublicKey> verify_identity(const NoisePayload& payload,
                                                        const crypto::X25519Public& static_key,
                                                        const std::optional<PeerId>& expected,
                                                        SignatureLimiter* limiter = nullptr);

/// The first muxer of the initiator's list that the responder has too; nothing where
/// multistream-select has to agree on one.
[[nodiscard]] std::optional<std::string> choose_muxer(const std::vector<std::string>& initiator,
                                                      const std::vector<std::string>& responder);

/// Appends a message with its length in front: 16 bits, big end first.
void append_noise_frame(codec::Buffer& out, Bytes message);

}  // namespace kwaai::p2p
