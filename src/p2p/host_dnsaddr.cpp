// Connections to peers whose addresses stand in TXT records.
#include <algorithm>
#include <ranges>
#include <utility>

#include "p2p/dnsaddr.hpp"
#include "p2p/host_state.hpp"

namespace kwaai::p2p {
namespace {

/// Whom the addresses lead to, each once, in their order.
std::vector<PeerId> peers_of(const std::vector<Multiaddr>& addresses,
                             const PeerId& self,
                             std::size_t max) {
    std::vector<PeerId> peers;
    for (const Multiaddr& address : addresses) {
        const std::optional<PeerId> peer = address.peer();
        if (!peer || *peer == self || std::ranges::find(peers, *peer) != peers.end()) continue;
        if (peers.size() < max) peers.push_back(*peer);
    }
    return peers;
}

}  // namespace

// The address itself is not remembered: where a peer is may change, and is asked again next time.
io::Task<Result<PeerId>> Host::State::connect_by_name(Multiaddr address) {
    const std::optional<PeerId> wanted = address.peer();
    if (wanted && *wanted == id)
        co_return fail(Errc::invalid_argument, address.to_text() + " is this node itself");
    if (wanted && best_connection(*wanted) != nullptr) co_return *wanted;
    auto resolving = resolve_dnsaddr(network, clock, address, options.limits);
    KWAAI_CO_TRY(const std::vector<Multiaddr> found, co_await std::move(resolving));
    const std::vector<PeerId> peers = peers_of(found, id, options.limits.dials_per_peer_max);
    // Backwards: the book gives the latest first.
    for (const PeerId& peer : peers)
        for (const Multiaddr& place : std::views::reverse(found))
            if (place.peer() == peer) book.add(peer, place, clock.now());
    Error failure{Errc::not_found,
                  address.to_text() + ": its TXT records name no other peer (/p2p/ID)"};
    for (const PeerId& peer : peers) {
        const auto connection = co_await connection_to(peer);
        if (connection) co_return peer;
        failure = connection.error();
    }
    if (peers.size() > 1)
        co_return fail(failure.code,
                       address.to_text() + ": none of its " + std::to_string(peers.size()) +
                           " peers was reached; the last: " + failure.context);
    co_return std::unexpected<Error>(std::move(failure));
}

}  // namespace kwaai::p2p
