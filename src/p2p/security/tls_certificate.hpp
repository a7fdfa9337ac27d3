// libp2p's certificates: who a peer is, in an extension of a self-signed certificate
// (libp2p specs, tls/tls.md).
#pragma once
#include <chrono>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "crypto/certificate.hpp"
#include "crypto/key.hpp"
#include "p2p/bounds/signature_limiter.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

constexpr std::string_view kIdentityExtension = "1.3.6.1.4.1.53594.1.1";

/// The extension's value: SEQUENCE { OCTET STRING publicKey, OCTET STRING signature }.
struct SignedKey {
    codec::Buffer identity_key;  // serialized PublicKey
    codec::Buffer signature;     // over signed_certificate_key()
};

/// Each of both is shorter than 4096 bytes.
[[nodiscard]] codec::Buffer write_signed_key(const SignedKey& signed_key);
/// `Errc::malformed` for everything but what write_signed_key() gives.
[[nodiscard]] Result<SignedKey> read_signed_key(Bytes der);

/// What an identity signs: "libp2p-tls-handshake:" and the certificate's SubjectPublicKeyInfo.
[[nodiscard]] codec::Buffer signed_certificate_key(Bytes public_key_info);

/// A certificate of `key` that says who `identity` is, valid from an hour before `now` for a
/// hundred years. The extension is its only one, since js-libp2p looks at the first, and not
/// critical, since others refuse critical ones that they do not know.
[[nodiscard]] codec::Buffer make_tls_certificate(const crypto::CertificateKey& key,
                                                 const crypto::PrivateKey& identity,
                                                 std::chrono::sys_seconds now);

/// The identity key that a peer's certificates prove: exactly one, self-signed, valid at `now`,
/// with the extension once and no other that is critical, and with the identity's signature.
/// `Errc::malformed` else, and where the key is not that of `expected` (the message names both
/// ids); errors of crypto::read_certificate() and PublicKey::from_protobuf().
/// @param limiter asked before each of both signatures is verified, and its error given; may be
///   null
[[nodiscard]] Result<crypto::PublicKey> verify_tls_chain(std::span<const Bytes> chain,
                                                         std::chrono::sys_seconds now,
                                                         const std::optional<PeerId>& expected,
                                                         SignatureLimiter* limiter = nullptr);

}  // namespace kwaai::p2p
