#include "p2p/peer_book.hpp"

#include <algorithm>
#include <utility>

#include "p2p/dnsaddr.hpp"

namespace kwaai::p2p {

void PeerBook::add(const PeerId& peer, const Multiaddr& address, io::TimePoint now) {
    if (is_dnsaddr(address)) return;
    std::vector<Entry>& entries = touch(peer).entries;
    std::erase_if(entries, [&](const Entry& entry) { return is_over(peer, entry, now); });
    const io::TimePoint expires = now + limits_.address_lifetime;
    if (Entry* const known = find(peer, address); known != nullptr) {
        known->expires = std::max(known->expires, expires);
        return;
    }
    if (entries.size() >= limits_.addresses_per_peer) entries.erase(entries.begin());
    entries.push_back({.address = address.without_peer(), .expires = expires});
}

namespace {

bool is_websocket(const Multiaddr& address) {
    const auto target = address.tcp_target();
    return target && target->transport != Transport::tcp;
}

}  // namespace

PeerBook::Candidates PeerBook::candidates(const PeerId& peer, io::TimePoint now) {
    Candidates found;
    const auto known = peers_.find(peer);
    if (known == peers_.end()) return found;
    std::erase_if(known->second.entries,
                  [&](const Entry& entry) { return is_over(peer, entry, now); });
    if (known->second.entries.empty()) {
        uses_.erase(known->second.use);
        peers_.erase(known);
        return found;
    }
    touch(peer);
    const Entry* soonest = nullptr;
    std::vector<Multiaddr> websockets;
    std::vector<Multiaddr> relayed;
    for (const Entry& entry : known->second.entries) {
        found.is_known = true;
        if (entry.not_before <= now)
            (entry.address.is_relayed()    ? relayed
             : is_websocket(entry.address) ? websockets
                                           : found.ready)
                .push_back(entry.address);
        else if (soonest == nullptr || entry.not_before < soonest->not_before)
            soonest = &entry;
    }
    std::ranges::reverse(found.ready);
    // Who announces both is reached with a round trip and the masks less.
    found.ready.insert(found.ready.end(), websockets.rbegin(), websockets.rend());
    found.ready.insert(found.ready.end(), relayed.rbegin(), relayed.rend());
    if (found.ready.size() > limits_.dials_per_peer_max)
        found.ready.erase(
            found.ready.begin() + static_cast<std::ptrdiff_t>(limits_.dials_per_peer_max),
            found.ready.end());
    if (found.ready.empty() && soonest != nullptr) {
        found.back_off = soonest->not_before - now;
        found.last_failure = soonest->last_failure;
    }
    return found;
}

void PeerBook::succeeded(const PeerId& peer, const Multiaddr& address) {
    Entry* const entry = find(peer, address);
    if (entry == nullptr) return;
    entry->failures = 0;
    entry->not_before = {};
    entry->last_failure.clear();
    std::vector<Entry>& entries = peers_.find(peer)->second.entries;
    std::rotate(entries.begin() + (entry - entries.data()),
                entries.begin() + (entry - entries.data()) + 1,
                entries.end());
}

void PeerBook::failed(const PeerId& peer,
                      const Multiaddr& address,
                      std::string why,
                      io::TimePoint now) {
    Entry* const entry = find(peer, address);
    if (entry == nullptr) return;
    constexpr std::uint32_t kDoublingsMax = 16;
    const io::Duration wait =
        limits_.back_off_first * (1U << std::min(entry->failures, kDoublingsMax));
    entry->not_before = now + std::min<io::Duration>(wait, limits_.back_off_max);
    ++entry->failures;
    entry->last_failure = std::move(why);
}

void PeerBook::found_another(const PeerId& peer,
                             const Multiaddr& address,
                             std::string why,
                             io::TimePoint now) {
    Entry* const entry = find(peer, address);
    if (entry == nullptr) return;
    entry->is_anothers = true;
    entry->not_before = now + limits_.back_off_max;
    entry->last_failure = std::move(why);
}

void PeerBook::disconnected(const PeerId& peer, io::TimePoint now) {
    connected_.erase(peer);
    const auto known = peers_.find(peer);
    if (known == peers_.end()) return;
    for (Entry& entry : known->second.entries)
        entry.expires =
            std::max<io::TimePoint>(entry.expires, now + limits_.address_connected_lifetime);
}

std::vector<Multiaddr> PeerBook::addresses(const PeerId& peer, io::TimePoint now) const {
    std::vector<Multiaddr> found;
    const auto known = peers_.find(peer);
    if (known == peers_.end()) return found;
    for (const Entry& entry : known->second.entries)
        if (!entry.is_anothers && !is_over(peer, entry, now)) found.push_back(entry.address);
    return found;
}

bool PeerBook::is_over(const PeerId& peer, const Entry& entry, io::TimePoint now) const {
    if (entry.is_anothers) return entry.not_before <= now;
    return entry.expires <= now && !connected_.contains(peer);
}

PeerBook::Peer& PeerBook::touch(const PeerId& peer) {
    const auto known = peers_.find(peer);
    if (known != peers_.end()) {
        uses_.splice(uses_.end(), uses_, known->second.use);
        return known->second;
    }
    if (peers_.size() >= limits_.known_peers_max) make_room();
    Peer& added = peers_[peer];
    added.use = uses_.insert(uses_.end(), peer);
    return added;
}

// Peers that are connected are in use.
void PeerBook::make_room() {
    for (std::size_t i = 0; i < uses_.size() && connected_.contains(uses_.front()); ++i)
        uses_.splice(uses_.end(), uses_, uses_.begin());
    peers_.erase(uses_.front());
    uses_.pop_front();
}

PeerBook::Entry* PeerBook::find(const PeerId& peer, const Multiaddr& address) {
    const auto known = peers_.find(peer);
    if (known == peers_.end()) return nullptr;
    const Multiaddr place = address.without_peer();
    for (Entry& entry : known->second.entries)
        if (entry.address == place) return &entry;
    return nullptr;
}

}  // namespace kwaai::p2p
