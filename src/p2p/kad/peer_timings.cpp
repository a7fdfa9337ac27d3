#include "p2p/kad/peer_timings.hpp"

#include <algorithm>

namespace kwaai::p2p::kad {
namespace {

constexpr int kDialRoundTrips = 4;

}  // namespace

void SmoothedTime::measured(io::Duration time) {
    if (!is_measured_) {
        is_measured_ = true;
        mean_ = time;
        deviation_ = time / 2;
        return;
    }
    const io::Duration off = time > mean_ ? time - mean_ : mean_ - time;
    deviation_ += (off - deviation_) / 4;
    mean_ += (time - mean_) / 8;
}

std::optional<io::Duration> SmoothedTime::patience() const {
    if (!is_measured_) return std::nullopt;
    return mean_ + std::max(mean_ * 2, deviation_ * 4);
}

PeerTimings::Entry& PeerTimings::touch(const PeerId& peer) {
    const auto known = entries_.find(peer);
    if (known != entries_.end()) {
        uses_.splice(uses_.end(), uses_, known->second.use);
        return known->second;
    }
    if (entries_.size() >= limits_.timings_max && !uses_.empty()) {
        entries_.erase(uses_.front());
        uses_.pop_front();
    }
    Entry& added = entries_[peer];
    added.use = uses_.insert(uses_.end(), peer);
    return added;
}

void PeerTimings::answered(const PeerId& peer, io::Duration round_trip) {
    Entry& entry = touch(peer);
    entry.time.measured(round_trip);
    entry.failures = 0;
    all_.measured(round_trip);
}

void PeerTimings::failed(const PeerId& peer, io::TimePoint now) {
    Entry& entry = touch(peer);
    ++entry.failures;
    entry.failure = now;
}

io::Duration PeerTimings::reply_timeout(const PeerId& peer) const {
    std::optional<io::Duration> patience;
    const auto known = entries_.find(peer);
    if (known != entries_.end()) patience = known->second.time.patience();
    if (!patience) patience = all_.patience();
    return std::clamp<io::Duration>(patience.value_or(limits_.rpc_timeout_first),
                                    limits_.rpc_timeout_min,
                                    limits_.rpc_timeout_max);
}

io::Duration PeerTimings::dial_timeout(const PeerId& peer) const {
    return std::min<io::Duration>(reply_timeout(peer) * kDialRoundTrips, limits_.rpc_timeout_max);
}

bool PeerTimings::has_failed_lately(const PeerId& peer, io::TimePoint now) const {
    const auto known = entries_.find(peer);
    return known != entries_.end() && known->second.failures >= limits_.failures_max &&
           now - known->second.failure < limits_.failure_memory;
}

}  // namespace kwaai::p2p::kad
