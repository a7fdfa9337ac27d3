#include "p2p/muxer/window_memory.hpp"

#include <algorithm>

namespace kwaai::p2p {

void WindowMemory::learn(const PeerId& peer, std::uint32_t window) {
    if (window <= limits_.window_initial) return;
    const std::uint32_t kept = std::max(recall(peer), std::min(window, limits_.window_max));
    const auto found = places_.find(peer);
    if (found != places_.end()) {
        found->second->second = kept;
        return;
    }
    places_.emplace(peer, entries_.emplace(entries_.end(), peer, kept));
    if (places_.size() <= limits_.windows_remembered_max) return;
    places_.erase(entries_.front().first);
    entries_.pop_front();
}

std::uint32_t WindowMemory::recall(const PeerId& peer) {
    const auto found = places_.find(peer);
    if (found == places_.end()) return 0;
    entries_.splice(entries_.end(), entries_, found->second);
    return found->second->second;
}

}  // namespace kwaai::p2p
