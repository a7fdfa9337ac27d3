// Hosts whose addresses are managed, on a simulated network of public addresses.
#include "p2p/nat/address_manager.hpp"

#include <doctest/doctest.h>

#include "p2p/nat/nat_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a host on 0.0.0.0 tells the addresses of its interfaces, and new ones as they come") {
    run_nat_world(2, [](NatWorld& world) -> io::Task<void> {
        REQUIRE(world.host(0).listen(Multiaddr::parse("/ip4/0.0.0.0/tcp/4002").value()));
        std::vector<std::string> ips{"192.168.7.7"};
        AddressManagerOptions options;
        options.interfaces = [&ips](io::IpFamily family) {
            return family == io::IpFamily::v4 ? ips : std::vector<std::string>();
        };
        AddressManager manager(world.host(0), world.clock(), std::move(options));
        const auto expected =
            world.parse({"/ip4/203.0.113.1/tcp/4001", "/ip4/192.168.7.7/tcp/4002"});
        CHECK(manager.told() == expected);
        const auto peer = co_await world.host(1).connect(world.address(0));
        REQUIRE(peer.has_value());
        const auto told = co_await world.host(1).identify(*peer);
        REQUIRE(told.has_value());
        CHECK(told->addresses == expected);
        world.group().spawn(&AddressManager::run, std::ref(manager));
        const std::uint64_t epoch = manager.epoch();
        ips.emplace_back("192.168.7.8");
        co_await manager.wait_for_change(epoch);
        co_await world.clock().sleep_for(1s);
        CHECK(world.host(1).peers().at(0).addresses.size() == 3);
        co_await world.stop_group();
    });
}

TEST_CASE("peers that dial a host tell it where, and four of them are believed") {
    run_nat_world(6, [](NatWorld& world) -> io::Task<void> {
        AddressManagerOptions options;
        options.interfaces = [](io::IpFamily /*family*/) {
            return std::vector<std::string>();
        };
        const AddressManager manager(world.host(0), world.clock(), std::move(options));
        CHECK(manager.reachability() == Reachability::unknown);
        for (std::size_t i = 1; i < 4; ++i) {
            const auto peer = co_await world.host(i).connect(world.address(0));
            REQUIRE(peer.has_value());
        }
        co_await world.clock().sleep_for(1min);
        CHECK(manager.external().empty());
        CHECK(manager.candidates() == world.parse({"/ip4/203.0.113.1/tcp/4001"}));
        const auto peer = co_await world.host(4).connect(world.address(0));
        REQUIRE(peer.has_value());
        co_await world.clock().sleep_for(1min);
        CHECK(manager.external() == world.parse({"/ip4/203.0.113.1/tcp/4001"}));
        CHECK(manager.reachability() == Reachability::reachable);
        CHECK(manager.is_own(world.address(0)));
    });
}

TEST_CASE("a relay's address is told when it comes, and withdrawn with it") {
    run_nat_world(2, [](NatWorld& world) -> io::Task<void> {
        AddressManager manager(world.host(0), world.clock(), {});
        const auto peer = co_await world.host(1).connect(world.address(0));
        REQUIRE(peer.has_value());
        co_await world.clock().sleep_for(1s);
        const Multiaddr circuit =
            Multiaddr::parse(world.address(1).to_text() + "/p2p-circuit").value();
        manager.set_addresses(AddressSource::relay, {circuit});
        co_await world.clock().sleep_for(1s);
        CHECK(world.host(1).peers().at(0).addresses.back() == circuit);
        manager.set_addresses(AddressSource::relay, {});
        co_await world.clock().sleep_for(1s);
        CHECK(world.host(1).peers().at(0).addresses == world.parse({"/ip4/203.0.113.1/tcp/4001"}));
    });
}

}  // namespace
}  // namespace kwaai::p2p
