// How many RSA signatures of strangers are verified (libp2p.md §4.2).
#pragma once
#include "base/result.hpp"
#include "crypto/key.hpp"
#include "io/clock.hpp"
#include "p2p/limits.hpp"

namespace kwaai::p2p {

/// A token bucket: Limits::rsa_verify_burst at once, then one in each Limits::rsa_verify_period, of
/// all peers together. Other keys cost a tenth or less, and are not counted. Confined to the loop's
/// thread.
class SignatureLimiter {
public:
    /// @param clock outlives it
    SignatureLimiter(const Limits& limits, io::Clock& clock);

    /// To be asked before a signature by a key of `type` is verified, and takes a token where that
    /// is RSA. `Errc::limit_exceeded` where none is left.
    [[nodiscard]] Result<> admit(crypto::KeyType type);

private:
    io::Duration period_;
    io::Duration capacity_;  // in periods, one a token
    io::Clock& clock_;
    io::TimePoint full_at_ = io::TimePoint::min();  // when all tokens are there again
};

}  // namespace kwaai::p2p
