// What a node brings to all its QUIC connections: a certificate, and secrets of its tokens.
#pragma once
#include <memory>

#include "crypto/key.hpp"

namespace kwaai::p2p {

/// Made once. The certificate is as that of /tls/1.0.0 (docs/protocols/quic.md).
class QuicIdentity {
public:
    explicit QuicIdentity(const crypto::PrivateKey& key);
    QuicIdentity(const QuicIdentity&) = delete;
    QuicIdentity& operator=(const QuicIdentity&) = delete;
    ~QuicIdentity();

    struct State;

    [[nodiscard]] const State& state() const { return *state_; }

private:
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::p2p
