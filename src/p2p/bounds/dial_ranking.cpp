#include "p2p/bounds/dial_ranking.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "p2p/kad/address_scope.hpp"

namespace kwaai::p2p {
namespace {

enum class Rank : std::uint8_t {
    loopback,
    loopback_quic,
    loopback_websocket,
    private_network,
    private_quic,
    private_websocket,
    everywhere_quic,
    everywhere,
    everywhere_websocket,
    relayed,
};

// Nearby, where every router lets TCP through, its packets cost the least to send.
Rank near(Rank tcp, Transport transport) {
    switch (transport) {
        case Transport::tcp: return tcp;
        case Transport::quic: return static_cast<Rank>(static_cast<int>(tcp) + 1);
        case Transport::websocket:
        case Transport::secure_websocket: return static_cast<Rank>(static_cast<int>(tcp) + 2);
    }
    return tcp;
}

Rank far(Transport transport) {
    switch (transport) {
        case Transport::quic: return Rank::everywhere_quic;
        case Transport::tcp: return Rank::everywhere;
        case Transport::websocket:
        case Transport::secure_websocket: return Rank::everywhere_websocket;
    }
    return Rank::everywhere;
}

Rank rank_of(const Multiaddr& address) {
    if (address.is_relayed()) return Rank::relayed;
    const auto target = address.target();
    const Transport transport = target ? target->transport : Transport::tcp;
    switch (kad::scope_of(address)) {
        case kad::Scope::loopback: return near(Rank::loopback, transport);
        case kad::Scope::private_network: return near(Rank::private_network, transport);
        case kad::Scope::none:
        case kad::Scope::everywhere: break;
    }
    return far(transport);
}

std::vector<Multiaddr> by_rank(std::vector<Multiaddr> addresses) {
    std::vector<std::vector<Multiaddr>> of_rank(static_cast<std::size_t>(Rank::relayed) + 1);
    for (Multiaddr& address : addresses) {
        const auto rank = static_cast<std::size_t>(rank_of(address));
        of_rank[rank].push_back(std::move(address));
    }
    addresses.clear();
    for (std::vector<Multiaddr>& same : of_rank)
        std::ranges::move(same, std::back_inserter(addresses));
    return addresses;
}

bool is_ip6(const Multiaddr& address) {
    const std::vector<AddrPart> parts = address.parts();
    return !parts.empty() && parts.front().code == AddrCode::ip6;
}

// Brings the first address of the other family to the second place of its rank.
void mix_families(std::vector<Multiaddr>& addresses, Rank rank) {
    const auto first = std::ranges::find(addresses, rank, rank_of);
    if (first == addresses.end()) return;
    const auto last = std::ranges::find_if(
        first, addresses.end(), [rank](const Multiaddr& one) { return rank_of(one) != rank; });
    const bool is_first_ip6 = is_ip6(*first);
    const auto other = std::find_if(
        first, last, [is_first_ip6](const Multiaddr& one) { return is_ip6(one) != is_first_ip6; });
    if (other != last) std::rotate(first + 1, other, other + 1);
}

}  // namespace

io::Duration dial_limit(const std::vector<RankedAddress>& addresses, const Limits& limits) {
    const bool is_local = std::ranges::all_of(addresses, [](const RankedAddress& one) {
        return rank_of(one.address) < Rank::everywhere_quic;
    });
    return is_local ? limits.dial_local_timeout : limits.dial_total_timeout;
}

bool leads_to_any(const std::vector<Multiaddr>& own, const Multiaddr& address) {
    const auto target = address.target();
    if (!target) return false;
    return std::ranges::any_of(own, [&](const Multiaddr& one) {
        const auto socket = one.target();
        if (!socket || socket->port != target->port) return false;
        if ((socket->transport == Transport::quic) != (target->transport == Transport::quic))
            return false;
        if (socket->host == target->host) return true;
        return one.is_unspecified() && address.is_loopback() && is_ip6(one) == is_ip6(address);
    });
}

bool is_public_ip6(const Multiaddr& address) {
    return is_ip6(address) && kad::scope_of(address) == kad::Scope::everywhere;
}

bool is_public_udp(const Multiaddr& address) {
    const auto target = address.target();
    return target && target->transport == Transport::quic &&
           kad::scope_of(address) == kad::Scope::everywhere;
}

std::vector<RankedAddress> rank_addresses(std::vector<Multiaddr> addresses, const Limits& limits) {
    addresses = by_rank(std::move(addresses));
    mix_families(addresses, Rank::everywhere_quic);
    mix_families(addresses, Rank::everywhere);
    std::vector<RankedAddress> ranked;
    io::Duration delay{};
    io::Duration gap{};  // to the next: what the last one may need
    bool is_any_direct = false;
    for (Multiaddr& address : addresses) {
        const Rank rank = rank_of(address);
        if (rank == Rank::relayed) {
            if (is_any_direct) delay = std::max<io::Duration>(delay, limits.dial_relay_after);
            is_any_direct = false;
        } else {
            is_any_direct = true;
        }
        delay = ranked.empty() ? io::Duration{} : std::max(delay, ranked.back().delay + gap);
        gap = rank < Rank::everywhere_quic ? limits.dial_gap_private : limits.dial_gap_public;
        ranked.push_back({.address = std::move(address), .delay = delay});
    }
    return ranked;
}

}  // namespace kwaai::p2p
