// What a host offers to NAT traversal: other ways to a peer, and news of its connections.
#include <doctest/doctest.h>

#include "p2p/host_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

struct Change {
    PeerId peer;
    ConnectionChange change;
    bool is_inbound;

    bool operator==(const Change&) const = default;
};

std::shared_ptr<void> record(Host& host, std::vector<Change>& changes) {
    return host.observe([&changes](const PeerInfo& info, ConnectionChange change) {
        changes.push_back({.peer = info.peer, .change = change, .is_inbound = info.is_inbound});
    });
}

io::Task<void> take_one(Host& host,
                        std::shared_ptr<io::Listener> listener,
                        std::optional<Result<PeerId>>& taken) {
    auto raw = co_await listener->accept();
    REQUIRE(raw.has_value());
    Multiaddr circuit = Multiaddr::parse("/p2p-circuit").value();
    Circuit taking{.stream = std::move(*raw), .limit = {}};
    taken = co_await host.adopt(std::move(taking), std::move(circuit), false);
}

io::Task<Result<Circuit>> dial_plainly(testing::SimNetwork& network) {
    io::Address socket{.host = HostWorld::ip(1), .port = 9};
    KWAAI_CO_TRY(std::unique_ptr<io::Stream> raw,
                 co_await network.host(HostWorld::ip(0)).connect(std::move(socket)));
    co_return Circuit{.stream = std::move(raw), .limit = {}};
}

io::Task<void> dial_one(Host& host, Multiaddr address, std::optional<Result<PeerId>>& dialled) {
    dialled = co_await host.connect(std::move(address));
}

io::Task<void> take_and_dial(io::TaskGroup& group,
                             Host& dialler,
                             Multiaddr address,
                             Host& taker,
                             std::shared_ptr<io::Listener> listener,
                             std::optional<Result<PeerId>>& taken,
                             std::optional<Result<PeerId>>& dialled) {
    group.spawn(take_one, std::ref(taker), std::move(listener), std::ref(taken));
    group.spawn(dial_one, std::ref(dialler), std::move(address), std::ref(dialled));
    co_return;
}

TEST_CASE("observers are told of a connection's beginning, its identity and its end") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        std::vector<Change> seen;
        std::vector<Change> unseen;
        const auto lease = record(world.host(1), seen);
        record(world.host(1), unseen).reset();
        const PeerId dialler = world.host(0).id();
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        co_await world.clock().sleep_for(1s);
        world.host(0).disconnect(*peer);
        co_await world.clock().sleep_for(1s);
        const std::vector<Change> expected{{dialler, ConnectionChange::opened, true},
                                           {dialler, ConnectionChange::identified, true},
                                           {dialler, ConnectionChange::closed, true}};
        CHECK(seen == expected);
        CHECK(unseen.empty());
    });
}

TEST_CASE("peers are told the addresses that were chosen, again where they change") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        const Multiaddr chosen = Multiaddr::parse("/ip4/203.0.113.5/tcp/4001").value();
        CHECK(world.host(1).told_addresses() ==
              std::vector<Multiaddr>{world.address(1).without_peer()});
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        const auto before = co_await world.host(0).identify(*peer);
        REQUIRE(before.has_value());
        CHECK(before->addresses == std::vector<Multiaddr>{world.address(1).without_peer()});
        world.host(1).set_told_addresses(
            [chosen](const std::vector<Multiaddr>& /*listening*/) { return std::vector{chosen}; });
        co_await world.clock().sleep_for(1s);
        CHECK(world.host(0).peers().at(0).addresses == std::vector{chosen});
    });
}

TEST_CASE("a stream that comes by other means becomes a connection as any other") {
    run_hosts(3, [](HostWorld& world) -> io::Task<void> {
        Host& dialler = world.host(0);
        Host& taker = world.host(1);
        auto& network = world.network();
        auto listening =
            network.host(HostWorld::ip(1)).listen({.host = HostWorld::ip(1), .port = 9});
        REQUIRE(listening.has_value());
        const std::shared_ptr<io::Listener> listener = std::move(*listening);
        dialler.set_circuit_dialer(
            [&network](Multiaddr /*address*/) { return dial_plainly(network); });
        const Multiaddr circuit =
            Multiaddr::parse(world.address(2).to_text() + "/p2p-circuit").value();
        const Multiaddr address = circuit.with_peer(taker.id());
        CHECK(address.is_relayed());
        std::optional<Result<PeerId>> taken;
        std::optional<Result<PeerId>> dialled;
        co_await io::with_group(take_and_dial,
                                std::ref(dialler),
                                address,
                                std::ref(taker),
                                listener,
                                std::ref(taken),
                                std::ref(dialled));
        REQUIRE(taken.has_value());
        REQUIRE(taken->has_value());
        CHECK(**taken == dialler.id());
        REQUIRE(dialled.has_value());
        REQUIRE(dialled->has_value());
        CHECK(**dialled == taker.id());
        const auto time = co_await dialler.ping(taker.id());
        CHECK(time.has_value());
        // A direct connection is preferred as soon as there is one.
        CHECK(dialler.peers().at(0).connected == address);
        const auto direct = co_await dialler.connect_again(world.address(1));
        REQUIRE(direct.has_value());
        auto stream = co_await dialler.open(taker.id(), "/echo/1.0.0");
        REQUIRE(stream.has_value());
        CHECK((*stream)->remote_address() == world.address(1));
    });
}

TEST_CASE("a peer is connected to again where a connection is open") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        co_await world.clock().sleep_for(1s);
        std::vector<Change> seen;
        const auto lease = record(world.host(1), seen);
        const auto same = co_await world.host(0).connect(world.address(1));
        CHECK(same.has_value());
        CHECK(seen.empty());
        const auto again = co_await world.host(0).connect_again(world.address(1));
        CHECK(again.has_value());
        co_await world.clock().sleep_for(1s);
        CHECK(seen.size() == 2);  // opened and identified
    });
}

}  // namespace
}  // namespace kwaai::p2p
