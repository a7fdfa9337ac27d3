// The peers that a node knows: many near to itself, some everywhere else.
#pragma once
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "io/clock.hpp"
#include "p2p/kad/dht_limits.hpp"
#include "p2p/kad/kad_key.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p::kad {

/// Buckets by the length of the prefix that a peer's key has in common with ours; the last one
/// takes all longer ones and splits when it is full (Maymounkov and Mazières 2002, as
/// go-libp2p-kbucket). Pure.
class RoutingTable {
public:
    RoutingTable(PeerId self, const DhtLimits& limits);

    enum class Outcome : std::uint8_t {
        added,
        known,
        bucket_full,
        network_full,  // too many peers of one network
        is_self,
    };

    /// Takes a peer in that speaks the protocol and has answered. Whoever failed last makes room
    /// in a full bucket; those that answer stay, however old.
    Outcome add(const PeerId& peer, std::span<const Multiaddr> addresses, io::TimePoint now);

    /// Whether add() would take a peer in that is not there yet; of a last bucket that is full,
    /// which splits, it says so without looking further.
    [[nodiscard]] bool has_place_for(const PeerId& peer,
                                     std::span<const Multiaddr> addresses) const;

    void answered(const PeerId& peer, io::TimePoint now);
    /// Whether that was once too often: the peer is out.
    bool failed(const PeerId& peer);
    void remove(const PeerId& peer);

    [[nodiscard]] bool contains(const PeerId& peer) const;
    /// Nearest first.
    [[nodiscard]] std::vector<PeerId> closest(const KadKey& target, std::size_t count) const;
    [[nodiscard]] std::vector<PeerId> peers() const;
    [[nodiscard]] std::size_t size() const;

    /// Peers that said nothing for `probe_after`.
    [[nodiscard]] std::vector<PeerId> silent(io::TimePoint now) const;
    /// Prefix lengths whose buckets were not refreshed for `refresh_interval`, up to
    /// `refresh_prefix_max`.
    [[nodiscard]] std::vector<unsigned> stale(io::TimePoint now) const;
    void refreshed(unsigned prefix, io::TimePoint now);

private:
    struct Entry {
        PeerId peer;
        KadKey key;
        std::set<std::string> networks;
        std::size_t failures = 0;  // in a row
        io::TimePoint heard;
    };

    struct Bucket {
        std::vector<Entry> entries;
        io::TimePoint refreshed{};
    };

    [[nodiscard]] Bucket& bucket_of(const KadKey& key);
    [[nodiscard]] const Bucket& bucket_of(const KadKey& key) const;
    [[nodiscard]] std::set<std::string> networks_of(std::span<const Multiaddr> addresses) const;
    [[nodiscard]] Entry* find(const PeerId& peer);
    [[nodiscard]] bool has_room_for(const Bucket& bucket,
                                    const std::set<std::string>& networks) const;
    void split_last();

    PeerId self_;
    KadKey self_key_;
    DhtLimits limits_;
    std::vector<Bucket> buckets_{1};
};

}  // namespace kwaai::p2p::kad
