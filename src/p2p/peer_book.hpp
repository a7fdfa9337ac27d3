// Where peers can be dialled, and which of their addresses to leave alone for a while.
#pragma once
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/clock.hpp"
#include "p2p/limits.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

/// Pure: `now` is passed in. Holds at most Limits::known_peers_max peers, of which the one unused
/// for longest makes room, and Limits::addresses_per_peer addresses of each, of which the oldest
/// does.
class PeerBook {
public:
    explicit PeerBook(const Limits& limits) : limits_(limits) {}

    /// `address` with or without /p2p.
    void add(const PeerId& peer, const Multiaddr& address);

    struct Candidates {
        std::vector<Multiaddr> ready;  // without /p2p, the one that worked last first, but
                                       // WebSocket behind all others, and relayed ones behind
                                       // those; at most dials_per_peer_max
        io::Duration back_off{};       // until the first of the others, where none is ready
        std::string last_failure;      // why that one failed
        bool is_known = false;         // whether there is any address
    };

    [[nodiscard]] Candidates candidates(const PeerId& peer, io::TimePoint now);

    void succeeded(const PeerId& peer, const Multiaddr& address);
    /// Doubles the address's back-off: back_off_first, up to back_off_max.
    void failed(const PeerId& peer, const Multiaddr& address, std::string why, io::TimePoint now);

    [[nodiscard]] std::vector<Multiaddr> addresses(const PeerId& peer) const;

    [[nodiscard]] std::size_t size() const { return peers_.size(); }

private:
    struct Entry {
        Multiaddr address;
        std::uint32_t failures = 0;
        io::TimePoint not_before{};
        std::string last_failure;
    };

    struct Peer {
        std::vector<Entry> entries;  // oldest first
        std::list<PeerId>::iterator use;
    };

    Peer& touch(const PeerId& peer);
    Entry* find(const PeerId& peer, const Multiaddr& address);

    Limits limits_;
    std::unordered_map<PeerId, Peer> peers_;
    std::list<PeerId> uses_;  // longest ago first
};

}  // namespace kwaai::p2p
