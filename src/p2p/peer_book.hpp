// Where peers can be dialled, and which of their addresses to leave alone for a while.
#pragma once
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "io/clock.hpp"
#include "p2p/limits.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

/// Pure: `now` is passed in. Holds at most Limits::known_peers_max peers, of which the one unused
/// for longest makes room, and Limits::addresses_per_peer addresses of each, of which the oldest
/// does. An address is forgotten Limits::address_lifetime after it was told last; while its peer is
/// connected it stays, and for Limits::address_connected_lifetime afterwards.
class PeerBook {
public:
    explicit PeerBook(const Limits& limits) : limits_(limits) {}

    /// `address` with or without /p2p. Not taken while it is known to be another peer's. One with
    /// /dnsaddr in front is not kept: it is no place, but a question (dnsaddr.hpp).
    void add(const PeerId& peer, const Multiaddr& address, io::TimePoint now);

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
    /// Another peer was found there: the address is forgotten, and for Limits::back_off_max not
    /// taken again, whoever tells it.
    void found_another(const PeerId& peer,
                       const Multiaddr& address,
                       std::string why,
                       io::TimePoint now);

    /// There is a connection to the peer.
    void connected(const PeerId& peer) { connected_.insert(peer); }

    /// The last one has ended.
    void disconnected(const PeerId& peer, io::TimePoint now);

    [[nodiscard]] std::vector<Multiaddr> addresses(const PeerId& peer, io::TimePoint now) const;

    [[nodiscard]] std::size_t size() const { return peers_.size(); }

private:
    struct Entry {
        Multiaddr address;
        io::TimePoint expires;     // unless the peer is connected
        bool is_anothers = false;  // kept until not_before, so that it is not taken again
        std::uint32_t failures = 0;
        io::TimePoint not_before{};
        std::string last_failure;
    };

    struct Peer {
        std::vector<Entry> entries;  // oldest first
        std::list<PeerId>::iterator use;
    };

    Peer& touch(const PeerId& peer);
    void make_room();
    Entry* find(const PeerId& peer, const Multiaddr& address);
    [[nodiscard]] bool is_over(const PeerId& peer, const Entry& entry, io::TimePoint now) const;

    Limits limits_;
    std::unordered_map<PeerId, Peer> peers_;
    std::list<PeerId> uses_;  // longest ago first
    std::unordered_set<PeerId> connected_;
};

}  // namespace kwaai::p2p
