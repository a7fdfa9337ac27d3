#include "p2p/nat/request_limiter.hpp"

#include <algorithm>

namespace kwaai::p2p {

bool RequestLimiter::grant(const PeerId& peer, io::TimePoint now) {
    while (!granted_.empty() && granted_.front().first + rate_.window <= now)
        granted_.pop_front();
    if (granted_.size() >= rate_.total_max) return false;
    const auto of_peer =
        std::ranges::count(granted_, peer, &std::pair<io::TimePoint, PeerId>::second);
    if (static_cast<std::size_t>(of_peer) >= rate_.per_peer_max) return false;
    granted_.emplace_back(now, peer);
    return true;
}

}  // namespace kwaai::p2p
