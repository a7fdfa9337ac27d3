#include "p2p/bounds/signature_limiter.hpp"

#include <algorithm>

namespace kwaai::p2p {

SignatureLimiter::SignatureLimiter(const Limits& limits, io::Clock& clock)
    : period_(limits.rsa_verify_period),
      capacity_(limits.rsa_verify_period * limits.rsa_verify_burst),
      clock_(clock) {}

Result<> SignatureLimiter::admit(crypto::KeyType type) {
    if (type != crypto::KeyType::rsa) return {};
    const io::TimePoint now = clock_.now();
    const io::TimePoint next = std::max(full_at_, now) + period_;
    if (next - now > capacity_)
        return fail(Errc::limit_exceeded, "no more RSA signatures of strangers are verified now");
    full_at_ = next;
    return {};
}

}  // namespace kwaai::p2p
