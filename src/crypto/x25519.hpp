// X25519 key agreement (RFC 7748).
#pragma once
#include <array>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"

namespace kwaai::crypto {

using X25519Public = std::array<std::byte, 32>;

struct X25519Pair {
    SecretBytes secret;  // 32 bytes
    X25519Public public_key{};
};

[[nodiscard]] X25519Pair generate_x25519();
/// The pair of a secret of 32 bytes (vectors).
[[nodiscard]] X25519Pair x25519_pair(Bytes secret);

/// The shared secret. `Errc::malformed` where it is all zeros: the other's key is a small point.
[[nodiscard]] Result<SecretBytes> x25519(Bytes secret, Bytes public_key);

}  // namespace kwaai::crypto
