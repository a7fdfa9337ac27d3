// What a handshake may cost before the peer has shown who it is.
#pragma once
#include <cstddef>
#include <memory>
#include <utility>

#include "p2p/bounds/signature_limiter.hpp"
#include "p2p/limits.hpp"

namespace kwaai::p2p {

struct HandshakeBounds {
    HandshakeBounds() = default;

    /// @param its_signatures asked before the signature of a peer that dialled us is verified; may
    ///   be null
    HandshakeBounds(const Limits& limits, std::shared_ptr<SignatureLimiter> its_signatures)
        : noise_bytes_max(limits.noise_handshake_bytes_max),
          tls_bytes_max(limits.tls_handshake_bytes_max),
          signatures(std::move(its_signatures)) {}

    std::size_t noise_bytes_max = Limits().noise_handshake_bytes_max;
    std::size_t tls_bytes_max = Limits().tls_handshake_bytes_max;
    std::shared_ptr<SignatureLimiter> signatures;
};

}  // namespace kwaai::p2p
