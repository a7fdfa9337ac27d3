// What differs between the kinds of keys: their encodings and how OpenSSL takes them.
#pragma once
#include <cstddef>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/key.hpp"
#include "crypto/openssl.hpp"
#include "crypto/secret.hpp"

namespace kwaai::crypto::detail {

/// A private key as read: for OpenSSL, and the two encodings that libp2p gives it.
struct PrivateParts {
    Pkey pkey;
    SecretBytes data;  // in the form that is written today
    std::vector<std::byte> public_data;
};

[[nodiscard]] Result<Pkey> read_ed25519_public(Bytes data);
[[nodiscard]] Result<PrivateParts> read_ed25519_private(Bytes data);
[[nodiscard]] SecretBytes generate_ed25519();
/// Seed and public key of a seed of 32 bytes.
[[nodiscard]] SecretBytes ed25519_data(Bytes seed);

[[nodiscard]] Result<Pkey> read_rsa_public(Bytes data);
/// Takes the time of a signature.
[[nodiscard]] Result<PrivateParts> read_rsa_private(Bytes data);
[[nodiscard]] Result<SecretBytes> generate_rsa(unsigned bits);

[[nodiscard]] Result<Pkey> read_secp256k1_public(Bytes data);
[[nodiscard]] Result<PrivateParts> read_secp256k1_private(Bytes data);
[[nodiscard]] SecretBytes generate_secp256k1();

[[nodiscard]] Result<Pkey> read_p256_public(Bytes data);
[[nodiscard]] Result<PrivateParts> read_p256_private(Bytes data);
[[nodiscard]] SecretBytes generate_p256();

/// A DER signature of a key on one of the curves with the lower of its two possible S, which
/// bitcoin's verifiers demand.
[[nodiscard]] std::vector<std::byte> with_low_s(KeyType type, std::vector<std::byte> signature);

/// The signature in the key's own scheme; empty where OpenSSL refuses.
[[nodiscard]] std::vector<std::byte> sign_with(KeyType type, EVP_PKEY* pkey, Bytes message);
[[nodiscard]] bool verify_with(KeyType type, EVP_PKEY* pkey, Bytes message, Bytes signature);

/// Builds a key of the named OpenSSL type from parameters; empty where OpenSSL refuses them.
[[nodiscard]] Pkey pkey_from_params(const char* type, int selection, OSSL_PARAM* params);

}  // namespace kwaai::crypto::detail
