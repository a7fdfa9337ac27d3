// How often peers may have something done for them.
#pragma once
#include <chrono>
#include <cstddef>
#include <deque>
#include <utility>

#include "io/clock.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

struct RequestRate {
    std::size_t total_max;     // within the window, of all peers
    std::size_t per_peer_max;  // within the window
    std::chrono::seconds window{60};
};

/// Counts what was granted within a sliding window. Pure: `now` is passed in. Remembers at most
/// `total_max` grants.
class RequestLimiter {
public:
    explicit RequestLimiter(const RequestRate& rate) : rate_(rate) {}

    /// Whether `peer` may now; counts it where it may.
    [[nodiscard]] bool grant(const PeerId& peer, io::TimePoint now);

private:
    RequestRate rate_;
    std::deque<std::pair<io::TimePoint, PeerId>> granted_;  // oldest first
};

}  // namespace kwaai::p2p
