#include "p2p/bounds/connection_manager.hpp"

#include <algorithm>
#include <utility>

namespace kwaai::p2p {

void ConnectionManager::opened(Key key, const PeerId& peer, io::TimePoint now) {
    entries_.insert_or_assign(key, Entry{.peer = peer, .used = ++uses_, .unused_since = now});
}

void ConnectionManager::closed(Key key) {
    entries_.erase(key);
}

void ConnectionManager::stream_opened(Key key, Direction direction) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    ++(direction == Direction::inbound ? entry.streams_inbound : entry.streams_outbound);
    entry.used = ++uses_;
    entry.unused_since.reset();
}

void ConnectionManager::stream_closed(Key key, Direction direction) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    --(direction == Direction::inbound ? entry.streams_inbound : entry.streams_outbound);
    entry.used = ++uses_;
}

void ConnectionManager::set_expendable(Key key, bool is_expendable) {
    const auto found = entries_.find(key);
    if (found != entries_.end()) found->second.is_expendable = is_expendable;
}

void ConnectionManager::protect(const PeerId& peer, std::string tag) {
    tags_[peer].insert(std::move(tag));
}

bool ConnectionManager::unprotect(const PeerId& peer, std::string_view tag) {
    const auto found = tags_.find(peer);
    if (found == tags_.end()) return false;
    const auto entry = found->second.find(tag);
    if (entry != found->second.end()) found->second.erase(entry);
    if (!found->second.empty()) return true;
    tags_.erase(found);
    return false;
}

bool ConnectionManager::is_protected(const PeerId& peer) const {
    return tags_.contains(peer);
}

// The time of a stream's end is not known here: a connection counts as unused from the first call
// that finds it so. Within one call the order of use decides.
std::vector<ConnectionManager::Key> ConnectionManager::to_close(io::TimePoint now) {
    struct Candidate {
        std::uint64_t used;
        Key key;
        bool is_expendable = false;
    };

    std::vector<Candidate> expendable;
    std::vector<Candidate> unused;
    std::vector<Candidate> just_used;
    std::vector<Candidate> peers_only;  // only the peer has streams
    for (auto& [key, entry] : entries_) {
        const bool is_unused = entry.streams_inbound == 0 && entry.streams_outbound == 0;
        if (is_unused && !entry.unused_since) entry.unused_since = now;
        if (tags_.contains(entry.peer)) continue;
        if (is_unused && entry.is_expendable) {
            expendable.push_back({.used = entry.used, .key = key});
        } else if (is_unused) {
            const bool is_new = now - *entry.unused_since < limits_.connection_grace;
            (is_new ? just_used : unused).push_back({.used = entry.used, .key = key});
        } else if (entry.streams_outbound == 0) {
            peers_only.push_back(
                {.used = entry.used, .key = key, .is_expendable = entry.is_expendable});
        }
    }
    if (entries_.size() <= limits_.connections_high) return {};
    const auto by_use = [](const Candidate& one, const Candidate& other) {
        if (one.is_expendable != other.is_expendable) return one.is_expendable;
        return one.used < other.used;
    };
    std::vector<Key> chosen;
    const auto choose = [&](std::vector<Candidate>& from, std::size_t count_max) {
        std::ranges::sort(from, by_use);
        for (std::size_t i = 0; i < from.size() && chosen.size() < count_max; ++i)
            chosen.push_back(from[i].key);
    };
    const std::size_t above_low =
        entries_.size() - std::min(limits_.connections_low, entries_.size());
    choose(expendable, above_low);
    choose(unused, above_low);
    choose(just_used, entries_.size() - limits_.connections_high);
    if (entries_.size() >= limits_.connections_max)
        choose(peers_only, std::max<std::size_t>(limits_.connections_max / 10, 1));
    return chosen;
}

}  // namespace kwaai::p2p
