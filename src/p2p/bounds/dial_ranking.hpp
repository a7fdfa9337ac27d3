// In which order, and how far apart, the addresses of a peer are dialled (libp2p.md §1.26).
#pragma once
#include <vector>

#include "io/clock.hpp"
#include "p2p/limits.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::p2p {

struct RankedAddress {
    Multiaddr address;
    io::Duration delay{};  // after the first; earlier where none is being tried any more

    bool operator==(const RankedAddress&) const = default;
};

/// Loopback and private addresses first, as they fail fast; then public ones, of which the second
/// is of the other IP family where there is one (RFC 8305). Of public ones QUIC comes first, which
/// takes a round trip less and may pass a router that TCP does not; nearby, where neither counts,
/// TCP, which costs less CPU time; WebSocket behind both. Addresses over relays come last,
/// Limits::dial_relay_after after the first. Otherwise the order is kept.
[[nodiscard]] std::vector<RankedAddress> rank_addresses(std::vector<Multiaddr> addresses,
                                                        const Limits& limits);

/// How long a dial of all of them may take: Limits::dial_local_timeout where none leads beyond this
/// machine and private networks, else dial_total_timeout.
[[nodiscard]] io::Duration dial_limit(const std::vector<RankedAddress>& addresses,
                                      const Limits& limits);

/// Whether an address leads to a socket of one of `own`, whichever peer is said to be there: the
/// same host, port and kind; loopback, too, where `own` has 0.0.0.0 or ::. Never over relays.
[[nodiscard]] bool leads_to_any(const std::vector<Multiaddr>& own, const Multiaddr& address);

/// Whether an address is IPv6 and reaches everywhere.
[[nodiscard]] bool is_public_ip6(const Multiaddr& address);
/// Whether it is over UDP and reaches everywhere.
[[nodiscard]] bool is_public_udp(const Multiaddr& address);

}  // namespace kwaai::p2p
