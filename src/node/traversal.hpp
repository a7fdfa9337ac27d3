// What the nodes of this room do about routers, and about their addresses that come and go.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "io/task.hpp"
#include "node/identity.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/relay/nat_traversal.hpp"

namespace kwaai::p2p {
struct AutonatOptions;
class Discovery;

namespace kad {
class Dht;
enum class Mode : std::uint8_t;
}  // namespace kad
}  // namespace kwaai::p2p

namespace kwaai::node {

struct RelayOptions {
    /// Places are held there, whatever AutoNAT says; each with /p2p.
    std::vector<p2p::Multiaddr> relays;
    /// Reached over relays alone: no address of this machine is told, and no direct connection made
    /// out of a relayed one. Relays and nodes that are dialled see it all the same.
    bool is_relayed_only = false;
    p2p::relay::Use service = p2p::relay::Use::never;  // as a relay for others
    p2p::relay::RelayLimits limits;                    // of the service
    /// As in NatTraversalOptions, but with /p2p of this node. May be empty.
    std::function<void(const std::vector<p2p::Multiaddr>& places)> on_places;
    std::function<void(std::size_t reservations, std::size_t circuits)> on_use;
};

/// Of circuits whose relay was told to be one: enough for texts. Strangers' nodes that happen to be
/// reachable grant what RelayLimits says, enough to meet directly.
inline constexpr p2p::CircuitLimit kTextCircuit{.duration = std::chrono::seconds(3600),
                                                .bytes = std::uint64_t{64} << 20};

/// For a node that only dials; it listens on every network once it dials a circuit.
[[nodiscard]] p2p::relay::NatTraversalOptions dialling_traversal();

/// For a node whose addresses are managed. All outlive what is made of it.
/// @param has_autonat places are held where AutoNAT finds the node out of reach, too
[[nodiscard]] p2p::relay::NatTraversalOptions member_traversal(const RelayOptions& options,
                                                               bool has_autonat,
                                                               const p2p::Host& host,
                                                               p2p::Discovery& discovery);

/// Dials back as `dialler`, an identity that no peer can know.
[[nodiscard]] p2p::AutonatOptions autonat_options(const Identity& dialler, std::string agent);

/// Of a node that listens: who is reached over relays alone is of no use to the lookups of others.
[[nodiscard]] p2p::kad::Mode member_mode(const RelayOptions& options);

/// Announces what the node provides again when its addresses have changed, and keeps its mode in
/// the DHT: `mode` where it may be reachable, else a client. Until cancelled.
io::Task<void> follow_addresses(p2p::AddressManager& addresses,
                                p2p::Discovery& discovery,
                                p2p::kad::Dht& dht,
                                p2p::kad::Mode mode,
                                io::Clock& clock);

/// "Reached over a relay at /…/p2p-circuit/p2p/ID", a sentence for all of them.
[[nodiscard]] std::string places_sentence(const std::vector<p2p::Multiaddr>& places);

}  // namespace kwaai::node
