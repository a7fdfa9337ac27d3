#include "p2p/kad/known_peers.hpp"

#include <algorithm>
#include <utility>

namespace kwaai::p2p::kad {

void KnownPeers::answered(const PeerId& peer, std::vector<Multiaddr> addresses, io::TimePoint now) {
    if (addresses.empty()) return;
    ++changes_;
    if (addresses.size() > limits_.addresses_sent_max)
        addresses.erase(addresses.begin() + static_cast<std::ptrdiff_t>(limits_.addresses_sent_max),
                        addresses.end());
    if (const auto known = places_.find(peer); known != places_.end()) {
        entries_.erase(known->second);
        places_.erase(known);
    }
    entries_.push_front({.peer = peer, .addresses = std::move(addresses), .answered = now});
    places_.emplace(peer, entries_.begin());
    if (entries_.size() <= limits_.known_peers_max) return;
    places_.erase(entries_.back().peer);
    entries_.pop_back();
}

std::vector<KnownPeer> KnownPeers::latest(std::size_t count) const {
    std::vector<KnownPeer> found;
    for (const KnownPeer& known : entries_) {
        if (found.size() >= count) break;
        found.push_back(known);
    }
    return found;
}

}  // namespace kwaai::p2p::kad
