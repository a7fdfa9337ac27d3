// SHA-256, HMAC over it, SHA-1 where a protocol prescribes it, and comparison in constant time.
#pragma once
#include <array>
#include <memory>

#include "base/bytes.hpp"

namespace kwaai::crypto {

using Digest = std::array<std::byte, 32>;

[[nodiscard]] Digest sha256(Bytes bytes);
[[nodiscard]] Digest hmac_sha256(Bytes key, Bytes message);

/// Proves nothing about who wrote `bytes`: collisions are cheap. For formats that prescribe it
/// (WebSocket's handshake, RFC 6455 section 1.3).
[[nodiscard]] std::array<std::byte, 20> sha1(Bytes bytes);

/// SHA-256 of bytes that come in pieces.
class Sha256 {
public:
    Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;
    ~Sha256();

    void update(Bytes bytes);
    /// The digest; the object is then as new.
    [[nodiscard]] Digest finish();

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Whether both are equal, in a time that depends on their lengths alone.
[[nodiscard]] bool equal_in_constant_time(Bytes a, Bytes b);

}  // namespace kwaai::crypto
