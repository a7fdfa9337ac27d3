// When a node is a relay and when it asks for places at some, on a simulated network.
#include "p2p/relay/nat_traversal.hpp"

#include <doctest/doctest.h>

#include "p2p/nat/nat_world_test.hpp"

namespace kwaai::p2p::relay {
namespace {

using namespace std::chrono_literals;

std::uint64_t today() {
    return 1'790'000'000;
}

TEST_CASE("a node is a relay while everybody reaches it, and holds places while nobody does") {
    run_nat_world(2, [](NatWorld& world) -> io::Task<void> {
        AddressManager relay_addresses(world.host(0), world.clock(), {});
        AddressManager addresses(world.host(1), world.clock(), {});
        std::vector<bool> services;
        NatTraversal relay(
            world.host(0),
            world.clock(),
            &relay_addresses,
            {.unix_seconds = today, .service = Use::automatic, .on_service = [&](bool is_serving) {
                 services.push_back(is_serving);
             }});
        NatTraversal hidden(world.host(1),
                            world.clock(),
                            &addresses,
                            {.unix_seconds = today, .places = Use::automatic});
        world.group().spawn(&NatTraversal::run, std::ref(relay));
        world.group().spawn(&NatTraversal::run, std::ref(hidden));
        const auto peer = co_await world.host(1).connect(world.address(0));
        REQUIRE(peer.has_value());
        addresses.set_node_verdict(Reachability::unreachable);
        co_await world.clock().sleep_for(2s);
        CHECK(services.empty());
        CHECK(hidden.places().empty());
        const Multiaddr own = world.address(0).without_peer();
        relay_addresses.set_verdict(own, Reachability::reachable);
        co_await world.clock().sleep_for(40s);  // it looks now and then
        CHECK(services == std::vector{true});
        const std::vector<Multiaddr> places{world.address(0).with_circuit()};
        CHECK(hidden.places() == places);
        CHECK(addresses.told().back() == places.front());
        CHECK(relay.service()->reservation_count() == 1);
        addresses.set_node_verdict(Reachability::reachable);
        co_await world.clock().sleep_for(2s);
        CHECK(hidden.places().empty());
        relay_addresses.set_verdict(own, Reachability::unreachable);
        co_await world.clock().sleep_for(2s);
        CHECK(services == std::vector{true, false});
        co_await world.stop_group();
    });
}

TEST_CASE("a relay that was named and is none is told, and asked again") {
    run_nat_world(2, [](NatWorld& world) -> io::Task<void> {
        AddressManager relay_addresses(world.host(0), world.clock(), {});
        AddressManager addresses(world.host(1), world.clock(), {.is_relayed_only = true});
        NatTraversal relay(world.host(0),
                           world.clock(),
                           &relay_addresses,
                           {.unix_seconds = today, .service = Use::automatic});
        std::vector<std::string> failures;
        NatTraversal hidden(world.host(1),
                            world.clock(),
                            &addresses,
                            {.unix_seconds = today,
                             .places = Use::always,
                             .relays = {world.address(0)},
                             .on_failure = [&](const Error& error) {
                                 failures.push_back(error.context);
                             }});
        world.group().spawn(&NatTraversal::run, std::ref(relay));
        world.group().spawn(&NatTraversal::run, std::ref(hidden));
        co_await world.clock().sleep_for(5s);
        REQUIRE(failures.size() == 1);
        CHECK(failures[0].find("reserving at relay") != std::string::npos);
        CHECK(addresses.told().empty());
        relay_addresses.set_node_verdict(Reachability::reachable);
        co_await world.clock().sleep_for(1min);
        CHECK(addresses.told() == std::vector{world.address(0).with_circuit()});
        co_await world.stop_group();
    });
}

}  // namespace
}  // namespace kwaai::p2p::relay
