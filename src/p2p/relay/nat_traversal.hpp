// What a node does about routers: dials through relays, makes direct connections out of relayed
// ones, holds places at relays where it cannot be dialled, and is a relay where everybody can.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "io/clock.hpp"
#include "io/task_group.hpp"
#include "p2p/host.hpp"
#include "p2p/nat/address_manager.hpp"
#include "p2p/relay/auto_relay.hpp"
#include "p2p/relay/hole_puncher.hpp"
#include "p2p/relay/relay_client.hpp"
#include "p2p/relay/relay_service.hpp"

namespace kwaai::p2p::relay {

/// What nodes that are relays for others offer in the network (Discovery).
inline constexpr const char* kRelayCapability = "relay";

enum class Use : std::uint8_t {
    never,
    automatic,  // places at relays while AutoNAT finds nobody reaches us; a relay while all do
    always,
};

struct NatTraversalOptions {
    /// Of the wall clock, since 1970.
    std::function<std::uint64_t()> unix_seconds;
    Use places = Use::never;        // held at relays
    std::vector<Multiaddr> relays;  // where, at first; each with /p2p. Then at peers that are some
    Use service = Use::never;       // as a relay
    RelayLimits limits;             // of the service
    bool is_punching = true;        // direct connections follow relayed ones
    /// As RelayClientOptions::listens.
    std::vector<Multiaddr> listens;
    /// Connects to nodes that may be relays; called now and then while a place is missing. May be
    /// empty.
    std::function<io::Task<void>()> find_relays;
    std::chrono::seconds find_pause{15};
    /// The addresses over relays have changed, "/…/p2p/RELAY/p2p-circuit"; may be empty.
    std::function<void(const std::vector<Multiaddr>& addresses)> on_places;
    /// As AutoRelayOptions::on_failure.
    std::function<void(const Error& error)> on_failure;
    /// As RelayServiceOptions::on_use.
    std::function<void(std::size_t reservations, std::size_t circuits)> on_use;
    /// The service has begun or ended; may be empty.
    std::function<void(bool is_serving)> on_service;
};

/// Confined to the loop's thread.
class NatTraversal {
public:
    /// All outlive it, and the host's run() has ended before its destruction. `addresses` is told
    /// of the places at relays, and says how reachable the node is; null where both are never
    /// wanted.
    NatTraversal(Host& host,
                 io::Clock& clock,
                 AddressManager* addresses,
                 NatTraversalOptions options);
    NatTraversal(const NatTraversal&) = delete;
    NatTraversal& operator=(const NatTraversal&) = delete;

    /// Until cancelled; without it only circuits are dialled.
    io::Task<void> run();

    /// Where the node is reached through relays now, "/…/p2p/RELAY/p2p-circuit".
    [[nodiscard]] std::vector<Multiaddr> places() const;

    /// Null where it is never one.
    [[nodiscard]] const RelayService* service() const { return service_ ? &*service_ : nullptr; }

private:
    static io::Task<void> run_parts(io::TaskGroup& group, NatTraversal& self);
    io::Task<void> follow_service();
    io::Task<void> follow_places();
    static io::Task<void> hold_places(io::TaskGroup& group, NatTraversal& self);
    io::Task<void> look_for_relays();
    void take_places(const std::vector<Multiaddr>& addresses);
    [[nodiscard]] bool is_due(Use use, Reachability when) const;

    io::Clock& clock_;
    AddressManager* addresses_;
    NatTraversalOptions options_;
    RelayClient client_;
    std::optional<HolePuncher> puncher_;
    std::optional<AutoRelay> keeper_;
    std::optional<RelayService> service_;
};

}  // namespace kwaai::p2p::relay
