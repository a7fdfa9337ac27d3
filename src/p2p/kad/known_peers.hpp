// Peers that answered once, for the day when nobody else does.
#pragma once
#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "io/clock.hpp"
#include "p2p/kad/dht_limits.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p::kad {

struct KnownPeer {
    PeerId peer;
    std::vector<Multiaddr> addresses;  // without /p2p, at least one
    io::TimePoint answered;            // last
};

/// At most `known_peers_max`, of which the one that answered longest ago makes room. They stay when
/// they leave the routing table: a network that falls apart, or a node that starts anew, finds its
/// way back by them. Pure.
class KnownPeers {
public:
    explicit KnownPeers(const DhtLimits& limits) : limits_(limits) {}

    /// A peer without an address is not taken. `now` never goes back.
    void answered(const PeerId& peer, std::vector<Multiaddr> addresses, io::TimePoint now);

    /// Those that answered last, first.
    [[nodiscard]] std::vector<KnownPeer> latest(std::size_t count) const;

    /// Rises with every change.
    [[nodiscard]] std::uint64_t changes() const { return changes_; }

    [[nodiscard]] std::size_t size() const { return entries_.size(); }

private:
    DhtLimits limits_;
    std::uint64_t changes_ = 0;
    std::list<KnownPeer> entries_;  // answered last first
    std::unordered_map<PeerId, std::list<KnownPeer>::iterator> places_;
};

}  // namespace kwaai::p2p::kad
