// Relays, those who are reached through them, and those who dial them, on a simulated network.
#include <doctest/doctest.h>

#include "p2p/relay/relay_world_test.hpp"

namespace kwaai::p2p::relay {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRelay = 0;
constexpr std::size_t kTarget = 1;
constexpr std::size_t kSource = 2;

RelayLimits with_circuit(std::chrono::seconds duration, std::uint64_t bytes) {
    RelayLimits limits;
    limits.circuit = CircuitLimit{.duration = duration, .bytes = bytes};
    return limits;
}

PeerInfo info_of(Host& host, const PeerId& peer) {
    for (const PeerInfo& info : host.peers())
        if (info.peer == peer) return info;
    throw std::runtime_error("not connected to " + peer.to_text());
}

TEST_CASE("a peer is reached through the relay at which it has reserved") {
    run_relays(3, 1, {}, [](RelayWorld& world) -> io::Task<void> {
        const auto place = co_await world.reserve(kTarget, kRelay);
        REQUIRE(place.has_value());
        CHECK(place->lifetime == 1h);
        CHECK(place->addresses ==
              std::vector<Multiaddr>{world.hosts().address(kRelay).with_circuit()});
        CHECK(world.service(kRelay).reservation_count() == 1);
        const auto peer = co_await world.host(kSource).connect(world.circuit(kRelay, kTarget));
        REQUIRE(peer.has_value());
        CHECK(*peer == world.host(kTarget).id());
        CHECK(world.service(kRelay).circuit_count() == 1);
        const auto time = co_await world.host(kSource).ping(*peer);
        CHECK(time.has_value());
        const auto echoed = co_await world.echo(kSource, kTarget, 8192);
        CHECK(echoed.has_value());
        const auto who = co_await world.host(kSource).identify(*peer);
        REQUIRE(who.has_value());
        CHECK(who->agent == "test-1");
        // Both ends know what the relay grants, and who is there.
        const CircuitLimit limit{.duration = 2min, .bytes = 128 << 10};
        CHECK(info_of(world.host(kSource), *peer).limit == limit);
        const PeerInfo back = info_of(world.host(kTarget), world.host(kSource).id());
        CHECK(back.limit == limit);
        CHECK(back.is_inbound);
        CHECK(back.connected == world.circuit(kRelay, kSource));
        world.host(kSource).disconnect(*peer);
        co_await world.clock().sleep_for(1s);
        CHECK(world.service(kRelay).circuit_count() == 0);
    });
}

TEST_CASE("streams that were not allowed it do not go over a limited connection") {
    run_relays(3, 1, {}, [](RelayWorld& world) -> io::Task<void> {
        const auto place = co_await world.reserve(kTarget, kRelay);
        REQUIRE(place.has_value());
        Host& source = world.host(kSource);
        const auto peer = co_await source.connect(world.circuit(kRelay, kTarget));
        REQUIRE(peer.has_value());
        const auto refused = co_await source.open(*peer, kEcho);
        REQUIRE(!refused.has_value());
        CHECK(refused.error().code == Errc::unavailable);
        CHECK(refused.error().context.find("through a relay alone") != std::string::npos);
    });
}

io::Task<void> open_directly(RelayWorld& world, std::optional<Multiaddr>& used) {
    auto stream = co_await world.host(kSource).open(world.host(kTarget).id(), kEcho);
    if (stream) used = (*stream)->remote_address();
}

io::Task<void> connect_later(io::TaskGroup& group,
                             RelayWorld& world,
                             std::optional<Multiaddr>& used) {
    group.spawn(open_directly, std::ref(world), std::ref(used));
    co_await world.clock().sleep_for(3s);
    CHECK(!used.has_value());
    const auto direct = co_await world.host(kSource).connect_again(world.hosts().address(kTarget));
    CHECK(direct.has_value());
}

TEST_CASE("a stream waits for a direct connection that is expected") {
    run_relays(3, 1, {}, [](RelayWorld& world) -> io::Task<void> {
        const auto place = co_await world.reserve(kTarget, kRelay);
        REQUIRE(place.has_value());
        Host& source = world.host(kSource);
        const auto peer = co_await source.connect(world.circuit(kRelay, kTarget));
        REQUIRE(peer.has_value());
        const auto lease = source.expect_direct(*peer);
        std::optional<Multiaddr> used;
        co_await io::with_group(connect_later, std::ref(world), std::ref(used));
        CHECK(used == world.hosts().address(kTarget));
    });
}

TEST_CASE("a relay without a limit of circuits makes connections as any other") {
    RelayLimits limits;
    limits.circuit.reset();
    run_relays(3, 1, limits, [](RelayWorld& world) -> io::Task<void> {
        const auto place = co_await world.reserve(kTarget, kRelay);
        REQUIRE(place.has_value());
        const auto peer = co_await world.host(kSource).connect(world.circuit(kRelay, kTarget));
        REQUIRE(peer.has_value());
        CHECK(!info_of(world.host(kSource), *peer).limit.has_value());
        const auto opened = co_await world.host(kSource).open(*peer, kEcho);
        CHECK(opened.has_value());
        const auto echoed = co_await world.echo(kSource, kTarget, 300'000);
        CHECK(echoed.has_value());
        co_await world.clock().sleep_for(10min);
        CHECK(world.host(kSource).is_connected(*peer));
    });
}

TEST_CASE("a circuit ends once it has carried the bytes of its limit") {
    run_relays(3, 1, with_circuit(2min, 16 << 10), [](RelayWorld& world) -> io::Task<void> {
        const auto place = co_await world.reserve(kTarget, kRelay);
        REQUIRE(place.has_value());
        const auto peer = co_await world.host(kSource).connect(world.circuit(kRelay, kTarget));
        REQUIRE(peer.has_value());
        const auto little = co_await world.echo(kSource, kTarget, 8 << 10);
        CHECK(little.has_value());
        const auto much = co_await world.echo(kSource, kTarget, 16 << 10);
        CHECK(!much.has_value());
        co_await world.clock().sleep_for(1s);
        CHECK(!world.host(kSource).is_connected(*peer));
        CHECK(world.service(kRelay).circuit_count() == 0);
    });
}

TEST_CASE("a circuit ends after the time of its limit") {
    run_relays(3, 1, with_circuit(60s, 128 << 10), [](RelayWorld& world) -> io::Task<void> {
        const auto place = co_await world.reserve(kTarget, kRelay);
        REQUIRE(place.has_value());
        const auto peer = co_await world.host(kSource).connect(world.circuit(kRelay, kTarget));
        REQUIRE(peer.has_value());
        co_await world.clock().sleep_for(55s);
        CHECK(world.host(kSource).is_connected(*peer));
        co_await world.clock().sleep_for(10s);
        CHECK(!world.host(kSource).is_connected(*peer));
        CHECK(world.host(kTarget).is_connected(world.host(kRelay).id()));
    });
}

using Told = std::vector<std::vector<Multiaddr>>;

constexpr std::size_t kHidden = 3;

io::Task<void> watch(RelayWorld& world, AutoRelay& keeper, Told& told) {
    co_await world.clock().sleep_for(5s);
    CHECK(keeper.addresses().size() == 2);
    CHECK(world.service(0).reservation_count() == 1);
    CHECK(world.service(1).reservation_count() == 1);
    CHECK(world.service(2).reservation_count() == 0);
    co_await world.clock().sleep_for(5h);  // renewed, or they would have expired
    CHECK(keeper.addresses().size() == 2);
    CHECK(told.size() == 2);
    world.host(0).disconnect(world.host(kHidden).id());
    co_await world.clock().sleep_for(2s);
    CHECK(keeper.addresses().size() == 2);
    CHECK(world.service(0).reservation_count() == 0);
    CHECK(world.service(2).reservation_count() == 1);
    CHECK(told.size() == 4);
    // What the relays hold is worth something.
    const Host& host = world.host(kHidden);
    const auto dialled =
        co_await world.host(0).connect(keeper.addresses().front().with_peer(host.id()));
    CHECK(dialled.has_value());
}

io::Task<void> keep_and_watch(io::TaskGroup& group,
                              RelayWorld& world,
                              AutoRelay& keeper,
                              Told& told) {
    group.spawn(&AutoRelay::run, std::ref(keeper));
    co_await watch(world, keeper, told);
    group.cancel();
}

TEST_CASE("reservations are kept, renewed, and replaced where a relay is lost") {
    run_relays(4, 3, {}, [](RelayWorld& world) -> io::Task<void> {
        Told told;
        AutoRelayOptions options;
        for (std::size_t i = 0; i < 3; ++i)
            options.relays.push_back(world.hosts().address(i));
        options.told = [&told](std::vector<Multiaddr> addresses) {
            told.push_back(std::move(addresses));
        };
        AutoRelay keeper(world.host(kHidden), world.clock(), world.client(kHidden), options);
        co_await io::with_group(keep_and_watch, std::ref(world), std::ref(keeper), std::ref(told));
        CHECK(keeper.addresses().empty());
        CHECK(told.back().empty());
    });
}

io::Task<void> wait_for_found(io::TaskGroup& group, RelayWorld& world, AutoRelay& keeper) {
    group.spawn(&AutoRelay::run, std::ref(keeper));
    co_await world.clock().sleep_for(1s);
    CHECK(keeper.addresses().empty());
    // One is dialled and a relay, one dials and is a relay, one is none.
    const auto dialled = co_await world.host(kHidden).connect(world.hosts().address(1));
    CHECK(dialled.has_value());
    const auto other = co_await world.host(kHidden).connect(world.hosts().address(2));
    CHECK(other.has_value());
    const auto inbound = co_await world.host(0).connect(world.hosts().address(kHidden));
    CHECK(inbound.has_value());
    co_await world.clock().sleep_for(5s);
    CHECK(keeper.addresses() == std::vector<Multiaddr>{world.hosts().address(1).with_circuit()});
    group.cancel();
}

TEST_CASE("relays are found among the peers that a node has dialled") {
    run_relays(4, 2, {}, [](RelayWorld& world) -> io::Task<void> {
        AutoRelay keeper(world.host(kHidden), world.clock(), world.client(kHidden), {});
        co_await io::with_group(wait_for_found, std::ref(world), std::ref(keeper));
    });
}

}  // namespace
}  // namespace kwaai::p2p::relay
