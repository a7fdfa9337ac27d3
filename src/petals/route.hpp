// Which server computes which blocks: a shortest way over those that are known and not avoided.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "inference/model.hpp"
#include "io/clock.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::petals {

/// A server as the client knows it.
struct KnownServer {
    p2p::PeerId peer;
    std::string prefix;  // of its blocks' names
    inference::BlockRange range;
    bool is_stock = false;  // Petals' own: it may not honour start_from_position
};

/// A stretch of blocks and who computes it.
struct Hop {
    KnownServer server;
    inference::BlockRange range;  // within the server's
};

/// Servers, what they cost, and who is avoided at present. Pure: `now` is passed in. At most
/// kServersMax servers.
class RouteTable {
public:
    static constexpr std::size_t kServersMax = 1024;

    /// A new server, or what has changed about a known one.
    void set(const KnownServer& server);
    void remove(const p2p::PeerId& peer);

    /// The peer failed: it is avoided for 15 s, twice as long after each further failure in a row,
    /// up to an hour (Petals' ban).
    void failed(const p2p::PeerId& peer, std::string why, io::TimePoint now);
    /// The peer answered: it is no longer avoided. `time`, where given, is what a step of one row
    /// took: what routes are chosen by.
    void answered(const p2p::PeerId& peer, std::optional<io::Duration> time);

    /// The cheapest way through `range`: each hop costs its server's smoothed answering time, or
    /// that of 50 ms where none is known. Servers that are avoided come in only where there is no
    /// other way, if `takes_avoided`. `Errc::unavailable` names the blocks that nobody serves.
    [[nodiscard]] Result<std::vector<Hop>> choose(inference::BlockRange range,
                                                  io::TimePoint now,
                                                  bool takes_avoided) const;

    /// Whether another server than `peer`, not avoided, could compute a part of `range` at its
    /// begin.
    [[nodiscard]] bool has_alternative(const p2p::PeerId& peer,
                                       inference::BlockRange range,
                                       io::TimePoint now) const;

    /// Smoothed answering time of a step of one row; nothing before the first.
    [[nodiscard]] std::optional<io::Duration> answer_time(const p2p::PeerId& peer) const;
    /// Until when it is avoided, and why; nothing where it is not.
    [[nodiscard]] std::optional<io::TimePoint> avoided_until(const p2p::PeerId& peer) const;
    [[nodiscard]] std::vector<KnownServer> servers() const;

private:
    struct Entry {
        KnownServer server;
        std::optional<io::Duration> answer;
        unsigned failures = 0;
        io::TimePoint avoided_until{};
        std::string last_failure;
    };

    /// The place of the peer's entry; the end where it is not known.
    [[nodiscard]] std::size_t place_of(const p2p::PeerId& peer) const;
    [[nodiscard]] Entry* find(const p2p::PeerId& peer);
    /// @param without a peer that is left out; null: nobody
    [[nodiscard]] std::optional<std::vector<Hop>> shortest(inference::BlockRange range,
                                                           io::TimePoint now,
                                                           bool takes_avoided,
                                                           const p2p::PeerId* without) const;
    [[nodiscard]] std::string describe_gap(inference::BlockRange range, io::TimePoint now) const;

    std::vector<Entry> entries_;  // in the order they became known: ties go to the first
};

}  // namespace kwaai::petals
