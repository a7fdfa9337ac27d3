// How long peers take to answer, and who failed lately.
#pragma once
#include <list>
#include <optional>
#include <unordered_map>

#include "io/clock.hpp"
#include "p2p/kad/dht_limits.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p::kad {

/// A mean and its deviation that follow what is measured (RFC 6298, section 2).
class SmoothedTime {
public:
    void measured(io::Duration time);
    /// The mean and the larger of twice itself and four deviations; nothing before the first
    /// measurement.
    [[nodiscard]] std::optional<io::Duration> patience() const;

private:
    bool is_measured_ = false;
    io::Duration mean_{};
    io::Duration deviation_{};
};

/// Of at most `timings_max` peers, of which the one that did least lately makes room. Pure.
class PeerTimings {
public:
    explicit PeerTimings(const DhtLimits& limits) : limits_(limits) {}

    void answered(const PeerId& peer, io::Duration round_trip);
    void failed(const PeerId& peer, io::TimePoint now);

    /// For a request and its reply: as this peer's earlier ones suggest, else all peers'; between
    /// `rpc_timeout_min` and `rpc_timeout_max`.
    [[nodiscard]] io::Duration reply_timeout(const PeerId& peer) const;
    /// For a connection and a stream: four round trips.
    [[nodiscard]] io::Duration dial_timeout(const PeerId& peer) const;
    /// `failures_max` times in a row, the last one within `failure_memory`.
    [[nodiscard]] bool has_failed_lately(const PeerId& peer, io::TimePoint now) const;

private:
    struct Entry {
        SmoothedTime time;
        std::size_t failures = 0;  // in a row
        io::TimePoint failure{};   // the last one
        std::list<PeerId>::iterator use;
    };

    Entry& touch(const PeerId& peer);

    DhtLimits limits_;
    SmoothedTime all_;
    std::unordered_map<PeerId, Entry> entries_;
    std::list<PeerId> uses_;  // longest ago first
};

}  // namespace kwaai::p2p::kad
