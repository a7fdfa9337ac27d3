#include "p2p/bounds/dial_ranking.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "p2p/kad/address_scope.hpp"

namespace kwaai::p2p {
namespace {

enum class Rank : std::uint8_t {
    loopback,
    loopback_websocket,
    private_network,
    private_websocket,
    everywhere,
    everywhere_websocket,
    relayed,
};

Rank rank_of(const Multiaddr& address) {
    if (address.is_relayed()) return Rank::relayed;
    const auto target = address.tcp_target();
    const bool is_websocket = target && target->transport != Transport::tcp;
    switch (kad::scope_of(address)) {
        case kad::Scope::loopback: return is_websocket ? Rank::loopback_websocket : Rank::loopback;
        case kad::Scope::private_network:
            return is_websocket ? Rank::private_websocket : Rank::private_network;
        case kad::Scope::none:
        case kad::Scope::everywhere: break;
    }
    return is_websocket ? Rank::everywhere_websocket : Rank::everywhere;
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
void mix_families(std::vector<Multiaddr>& addresses) {
    const auto first = std::ranges::find(addresses, Rank::everywhere, rank_of);
    if (first == addresses.end()) return;
    const auto last = std::ranges::find_if(first, addresses.end(), [](const Multiaddr& one) {
        return rank_of(one) != Rank::everywhere;
    });
    const bool is_first_ip6 = is_ip6(*first);
    const auto other = std::find_if(
        first, last, [is_first_ip6](const Multiaddr& one) { return is_ip6(one) != is_first_ip6; });
    if (other != last) std::rotate(first + 1, other, other + 1);
}

}  // namespace

bool is_public_ip6(const Multiaddr& address) {
    return is_ip6(address) && kad::scope_of(address) == kad::Scope::everywhere;
}

std::vector<RankedAddress> rank_addresses(std::vector<Multiaddr> addresses, const Limits& limits) {
    addresses = by_rank(std::move(addresses));
    mix_families(addresses);
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
        gap = rank < Rank::everywhere ? limits.dial_gap_private : limits.dial_gap_public;
        ranked.push_back({.address = std::move(address), .delay = delay});
    }
    return ranked;
}

}  // namespace kwaai::p2p
