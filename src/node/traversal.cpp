#include "node/traversal.hpp"

#include <chrono>
#include <utility>

#include "node/swarm_names.hpp"
#include "p2p/discovery/discovery.hpp"
#include "p2p/kad/dht.hpp"
#include "p2p/nat/autonat.hpp"

namespace kwaai::node {
namespace {

using p2p::relay::Use;

constexpr std::size_t kRelaysFoundMax = 8;  // at a time
constexpr std::chrono::seconds kSettling{1};

io::Task<void> find_relays(p2p::Discovery& discovery) {
    const auto found = co_await discovery.find(p2p::relay::kRelayCapability, kRelaysFoundMax);
    static_cast<void>(found);  // they are connected now, which is what counts
}

std::vector<p2p::Multiaddr> every_network() {
    return {p2p::Multiaddr::parse("/ip4/0.0.0.0/tcp/0").value(),
            p2p::Multiaddr::parse("/ip6/::/tcp/0").value()};
}

}  // namespace

p2p::relay::NatTraversalOptions dialling_traversal() {
    p2p::relay::NatTraversalOptions chosen;
    chosen.unix_seconds = seconds_since_1970;
    chosen.listens = every_network();
    return chosen;
}

p2p::relay::NatTraversalOptions member_traversal(const RelayOptions& options,
                                                 bool has_autonat,
                                                 const p2p::Host& host,
                                                 p2p::Discovery& discovery) {
    p2p::relay::NatTraversalOptions chosen = dialling_traversal();
    chosen.relays = options.relays;
    chosen.service = options.service;
    chosen.limits = options.limits;
    chosen.on_use = options.on_use;
    if (options.on_places)
        chosen.on_places = [&host, told = options.on_places](std::vector<p2p::Multiaddr> places) {
            for (p2p::Multiaddr& place : places)
                place = place.with_peer(host.id());
            told(places);
        };
    chosen.is_punching = !options.is_relayed_only;
    if (!options.relays.empty() || options.is_relayed_only)
        chosen.places = Use::always;
    else if (has_autonat)
        chosen.places = Use::automatic;
    chosen.find_relays = [&discovery] {
        return find_relays(discovery);
    };
    return chosen;
}

p2p::AutonatOptions autonat_options(const Identity& dialler, std::string agent) {
    return {.dialler = {.identity = dialler.key(), .agent = std::move(agent)},
            .limits = {},
            .dial_back = {}};
}

p2p::kad::Mode member_mode(const RelayOptions& options) {
    return options.is_relayed_only ? p2p::kad::Mode::client : p2p::kad::Mode::server;
}

io::Task<void> follow_addresses(p2p::AddressManager& addresses,
                                p2p::Discovery& discovery,
                                p2p::kad::Dht& dht,
                                p2p::kad::Mode mode,
                                io::Clock& clock) {
    std::vector<p2p::Multiaddr> announced = addresses.told();
    while (true) {
        const std::uint64_t known = addresses.epoch();
        const bool is_hidden = addresses.reachability() == p2p::Reachability::unreachable;
        dht.set_mode(is_hidden ? p2p::kad::Mode::client : mode);
        std::vector<p2p::Multiaddr> now = addresses.told();
        if (now != announced) {
            announced = std::move(now);
            discovery.addresses_changed();
        }
        co_await addresses.wait_for_change(known);
        co_await clock.sleep_for(kSettling);  // changes that come together
    }
}

std::string places_sentence(const std::vector<p2p::Multiaddr>& places) {
    if (places.empty()) return "No relay leads to this node any more.";
    std::string text = "Reached over a relay at ";
    for (std::size_t i = 0; i < places.size(); ++i)
        text += (i == 0 ? "" : " and ") + places[i].to_text();
    return text;
}

}  // namespace kwaai::node
