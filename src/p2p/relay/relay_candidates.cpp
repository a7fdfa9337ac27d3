#include "p2p/relay/relay_candidates.hpp"

#include <algorithm>
#include <utility>

namespace kwaai::p2p::relay {

RelayCandidates::Entry* RelayCandidates::find(const PeerId& relay) {
    const auto place = std::ranges::find(entries_, relay, &Entry::relay);
    return place == entries_.end() ? nullptr : &*place;
}

void RelayCandidates::add(const Multiaddr& address, bool is_given) {
    std::optional<PeerId> relay = address.peer();
    if (!relay) return;
    if (Entry* const known = find(*relay); known != nullptr) {
        if (!known->is_given) known->address = address;
        return;
    }
    if (!is_given) {
        const auto found = std::ranges::count(entries_, false, &Entry::is_given);
        if (static_cast<std::size_t>(found) >= limits_.candidates_max) {
            // The one that failed most often makes room, if any failed at all.
            auto worst = std::ranges::max_element(entries_, {}, [](const Entry& entry) {
                return entry.is_given || entry.is_in_use ? 0U : entry.failures;
            });
            if (worst->is_given || worst->is_in_use || worst->failures == 0) return;
            entries_.erase(worst);
        }
    }
    entries_.push_back({.address = address, .relay = std::move(*relay), .is_given = is_given});
}

std::optional<Multiaddr> RelayCandidates::take(io::TimePoint now) {
    Entry* best = nullptr;
    for (Entry& entry : entries_) {
        if (entry.is_in_use || entry.not_before > now) continue;
        if (best == nullptr || (entry.is_given && !best->is_given)) best = &entry;
    }
    if (best == nullptr) return std::nullopt;
    best->is_in_use = true;
    return best->address;
}

void RelayCandidates::succeeded(const PeerId& relay) {
    if (Entry* const entry = find(relay); entry != nullptr) entry->failures = 0;
}

void RelayCandidates::ended(const PeerId& relay, io::TimePoint now) {
    Entry* const entry = find(relay);
    if (entry == nullptr) return;
    constexpr unsigned kDoublingsMax = 16;
    const std::chrono::seconds wait =
        limits_.back_off_first * (1U << std::min(entry->failures, kDoublingsMax));
    const double factor = 1 + limits_.back_off_jitter * (2 * random_.next_unit() - 1);
    entry->is_in_use = false;
    entry->not_before = now + std::chrono::duration_cast<io::Duration>(
                                  std::min(wait, limits_.back_off_max) * factor);
    ++entry->failures;
}

std::size_t RelayCandidates::in_use() const {
    return static_cast<std::size_t>(std::ranges::count(entries_, true, &Entry::is_in_use));
}

}  // namespace kwaai::p2p::relay
