// What a node brings to all its QUIC connections: a certificate, and secrets of its tokens.
#pragma once
#include <memory>

#include "crypto/key.hpp"
#include "p2p/bounds/signature_limiter.hpp"

namespace kwaai::p2p {

/// Made once. The certificate is as that of /tls/1.0.0 (docs/protocols/quic.md).
class QuicIdentity {
public:
    /// @param signatures as in HandshakeBounds
    explicit QuicIdentity(const crypto::PrivateKey& key,
                          std::shared_ptr<SignatureLimiter> signatures = nullptr);
    QuicIdentity(const QuicIdentity&) = delete;
    QuicIdentity& operator=(const QuicIdentity&) = delete;
    ~QuicIdentity();

    struct State;

    [[nodiscard]] const State& state() const { return *state_; }

private:
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::p2p
