// Identity keys of libp2p: Ed25519, RSA, secp256k1, ECDSA on P-256.
#pragma once
#include <cstdint>
#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"

namespace kwaai::crypto {

/// Values of the protobuf enum `KeyType` (libp2p specs, peer-ids.md).
enum class KeyType : std::uint8_t { rsa = 0, ed25519 = 1, secp256k1 = 2, ecdsa = 3 };

constexpr unsigned kRsaBitsMin = 2048;
constexpr unsigned kRsaBitsMax = 8192;  // larger ones burn the verifier's time (CVE-2023-39533)

/// What anybody may know of a peer's key. Immutable, cheap to copy.
class PublicKey {
public:
    /// The key of `data` as in the protobuf field PublicKey.Data: raw for Ed25519 (32 bytes) and
    /// secp256k1 (33, compressed), SubjectPublicKeyInfo DER for RSA and ECDSA. `Errc::malformed`
    /// for what is no such key or would not encode to the same bytes, `unsupported` for RSA sizes
    /// out of range and curves other than P-256.
    static Result<PublicKey> from_data(KeyType type, Bytes data);
    /// A serialized protobuf PublicKey {Type = 1, Data = 2}, in exactly the deterministic form.
    static Result<PublicKey> from_protobuf(Bytes bytes);

    [[nodiscard]] KeyType type() const;
    [[nodiscard]] Bytes data() const;
    /// PublicKey {Type = 1, Data = 2}, the bytes that a peer id hashes.
    [[nodiscard]] Bytes protobuf() const;

    /// Whether `signature` is this key's over `message`.
    [[nodiscard]] bool verify(Bytes message, Bytes signature) const;

    bool operator==(const PublicKey& other) const;

private:
    friend class PrivateKey;
    struct State;
    explicit PublicKey(std::shared_ptr<const State> state);
    std::shared_ptr<const State> state_;
};

/// A peer's identity. Immutable, cheap to copy; wiped with its last copy.
class PrivateKey {
public:
    /// A new key from the system's random source; RSA with `rsa_bits`.
    static Result<PrivateKey> generate(KeyType type, unsigned rsa_bits = 2048);
    /// As in the protobuf field PrivateKey.Data: seed and public key for Ed25519 (64 bytes, 96 in
    /// the old form), PKCS#1 DER for RSA, 32 bytes for secp256k1, SEC1 DER for ECDSA.
    static Result<PrivateKey> from_data(KeyType type, Bytes data);
    /// A serialized protobuf PrivateKey {Type = 1, Data = 2}: the content of an identity file.
    static Result<PrivateKey> from_protobuf(Bytes bytes);
    /// The Ed25519 key of a seed of 32 bytes (tests, simulations).
    static PrivateKey ed25519_from_seed(std::span<const std::byte, 32> seed);

    [[nodiscard]] const PublicKey& public_key() const;
    [[nodiscard]] SecretBytes protobuf() const;

    /// Ed25519: 64 bytes; RSA: PKCS#1 v1.5 over SHA-256; the curves: DER, low S, over SHA-256.
    [[nodiscard]] std::vector<std::byte> sign(Bytes message) const;

private:
    struct State;
    explicit PrivateKey(std::shared_ptr<const State> state);
    std::shared_ptr<const State> state_;
};

}  // namespace kwaai::crypto
