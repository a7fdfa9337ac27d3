// Which relays a node could reserve at, and which of them to try next.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/random.hpp"
#include "io/clock.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p::relay {

struct CandidateLimits {
    std::size_t candidates_max = 20;  // beside those that were given
    std::chrono::seconds back_off_first{10};
    std::chrono::seconds back_off_max{900};
    double back_off_jitter = 0.2;  // so much of it more or less, so that nodes do not come together
};

/// Pure: `now` is passed in.
class RelayCandidates {
public:
    /// `seed` differs from node to node.
    explicit RelayCandidates(const CandidateLimits& limits, std::uint64_t seed = 1)
        : limits_(limits), random_(seed) {}

    /// `address` ends with /p2p. Those that were `given` come first, in their order, and stay.
    void add(const Multiaddr& address, bool is_given);

    /// The one to try now, which is in use from now on.
    [[nodiscard]] std::optional<Multiaddr> take(io::TimePoint now);
    /// The relay has granted a reservation.
    void succeeded(const PeerId& relay);
    /// It is no longer in use, and not tried again for a while: longer each time that nothing was
    /// granted.
    void ended(const PeerId& relay, io::TimePoint now);

    [[nodiscard]] std::size_t in_use() const;

    [[nodiscard]] std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        Multiaddr address;
        PeerId relay;
        bool is_given = false;
        bool is_in_use = false;
        unsigned failures = 0;  // in a row
        io::TimePoint not_before{};
    };

    Entry* find(const PeerId& relay);

    CandidateLimits limits_;
    CounterRandom random_;
    std::vector<Entry> entries_;
};

}  // namespace kwaai::p2p::relay
