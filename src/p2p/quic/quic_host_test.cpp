// Hosts that meet over QUIC, on a simulated network.
#include <array>
#include <chrono>

#include <doctest/doctest.h>

#include "p2p/bounds/gater.hpp"
#include "p2p/host_world_test.hpp"
#include "p2p/quic/quic_world_test.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace std::chrono_literals;
using io::Task;
using io::TaskGroup;

namespace {

constexpr const char* kQuicEcho = "/echo/1.0.0";

// Where host `index` listens for QUIC, from now on.
Multiaddr listen_quic(HostWorld& world, std::size_t index) {
    const auto address =
        Multiaddr::parse("/ip4/" + HostWorld::ip(index) + "/udp/4001/quic-v1").value();
    REQUIRE(world.host(index).listen(address));
    world.host(index).handle(kQuicEcho, echo);
    return address.with_peer(world.host(index).id());
}

Task<void> write_all(Stream& stream, const std::vector<std::byte>& bytes) {
    const Bytes part(bytes);
    const Result<> written = co_await stream.write(part);
    REQUIRE(written);
    const Result<> shut = co_await stream.shutdown_write();
    REQUIRE(shut);
}

Task<void> read_all(Stream& stream, const std::vector<std::byte>& expected) {
    std::vector<std::byte> got;
    std::vector<std::byte> buffer(100'000);
    const MutableBytes into(buffer);
    for (;;) {
        const Result<std::size_t> count = co_await stream.read_some(into);
        REQUIRE(count);
        if (*count == 0) break;
        got.insert(got.end(), buffer.begin(), buffer.begin() + static_cast<long>(*count));
    }
    const bool is_equal = got == expected;
    CHECK(is_equal);
}

Task<void> both_ways(TaskGroup& group, Stream& stream, const std::vector<std::byte>& bytes) {
    group.spawn(write_all, std::ref(stream), std::ref(bytes));
    group.spawn(read_all, std::ref(stream), std::ref(bytes));
    co_return;
}

Task<void> exchange(HostWorld& world, PeerId peer, std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::byte>(random_bits(7, i));
    auto stream = co_await world.host(0).open(std::move(peer), kQuicEcho);
    REQUIRE(stream);
    co_await io::with_group(both_ways, std::ref(**stream), std::ref(bytes));
}

}  // namespace

TEST_CASE("hosts meet over QUIC: identify, ping, and ten megabytes there and back") {
    run_hosts(2, [](HostWorld& world) -> Task<void> {
        Multiaddr address = listen_quic(world, 1);
        const auto peer = co_await world.host(0).connect(address);
        REQUIRE(peer);
        CHECK(*peer == world.host(1).id());
        const auto info = co_await world.host(0).identify(*peer);
        REQUIRE(info);
        CHECK(info->agent == "test-1");
        CHECK(info->connected == address);
        const auto time = co_await world.host(0).ping(*peer);
        REQUIRE(time);
        CHECK(*time >= 2ms);
        co_await exchange(world, *peer, 10'000'000);
        CHECK(world.host(0).round_trip_time(*peer).has_value());
    });
}

TEST_CASE("over QUIC the first answer comes two round trips after the dial begins") {
    run_hosts(2, [](HostWorld& world) -> Task<void> {
        const Multiaddr address = listen_quic(world, 1);
        const io::TimePoint begin = world.clock().now();
        const auto peer = co_await world.host(0).connect(address);
        REQUIRE(peer);
        auto stream = co_await world.host(0).open(*peer, kQuicEcho);
        REQUIRE(stream);
        std::array<std::byte, 1> one{};
        const Bytes sent(one);
        const Result<> written = co_await (*stream)->write(sent);
        REQUIRE(written);
        const MutableBytes into(one);
        const auto count = co_await (*stream)->read_some(into);
        REQUIRE(count);
        CHECK(world.clock().now() - begin < 5ms);  // of 2 ms each
    });
}

namespace {

Task<void> connect_twice(HostWorld& world) {
    const Multiaddr address = listen_quic(world, 1);
    const auto peer = co_await world.host(0).connect(address);
    REQUIRE(peer);
    world.host(0).disconnect(*peer);
    while (world.host(0).is_connected(*peer))
        co_await world.clock().sleep_for(1s);
    const auto again = co_await world.host(0).connect(address);
    REQUIRE(!again);
    CHECK(again.error().code == Errc::timed_out);
}

Task<void> connect_in_vain(HostWorld& world) {
    const Multiaddr address = listen_quic(world, 1);
    const auto peer = co_await world.host(0).connect(address);
    REQUIRE(!peer);
    CHECK(peer.error().code == Errc::timed_out);
}

Task<void> connect_to_another(HostWorld& world) {
    const Multiaddr address = listen_quic(world, 1).with_peer(make_identity(9));
    const auto peer = co_await world.host(0).connect(address);
    REQUIRE(!peer);
    CHECK(peer.error().code == Errc::wrong_peer);
    CHECK(world.host(1).peers().empty());
}

// Somebody who claims to be at host 0's address begins to shake hands and goes no further.
Task<void> connect_after_forged(HostWorld& world) {
    const Multiaddr address = listen_quic(world, 1);
    const QuicIdentity stranger(make_key(9));
    const auto socket = world.network().host(HostWorld::ip(0)).open_udp({HostWorld::ip(0), 5000});
    REQUIRE(socket);
    const io::Endpoint target = io::to_endpoint({HostWorld::ip(1), 4001}).value();
    for (std::size_t i = 0; i < 10 * Limits().accept_burst; ++i) {
        const std::vector<std::byte> packet = session_world::first_packet(
            stranger, (*socket)->local(), target, world.host(1).id(), world.clock().now());
        REQUIRE(packet.size() >= 1200);
        REQUIRE((*socket)->send(target, packet, packet.size()));
        co_await world.clock().sleep_for(100ms);
    }
    const auto peer = co_await world.host(0).connect(address);
    REQUIRE(peer);
    CHECK(*peer == world.host(1).id());
    (*socket)->close();
}

}  // namespace

TEST_CASE("forged packets over QUIC take away no place of those who prove their address") {
    run_hosts(2, connect_after_forged);
}

TEST_CASE("who comes too often over QUIC is not answered, as over TCP") {
    Limits limits;
    limits.accept_burst = 1;
    limits.accept_period = 60s;
    run_hosts(2, limits, connect_twice);
}

TEST_CASE("who is blocked is not answered over QUIC") {
    testing::Simulation simulation;
    const auto blocked = std::make_shared<BlockList>();
    blocked->block(Subnet::parse("10.0.0.1/32").value());
    HostWorld world(
        simulation, {make_key(0), make_key(1)}, Limits(), [&](std::size_t i, HostOptions& options) {
            if (i == 1) options.gater = blocked;
        });
    simulation.run(io::with_group(
        &p2p::detail::run_body<decltype(&connect_in_vain)>, std::ref(world), connect_in_vain));
}

TEST_CASE("a peer with another id is refused over QUIC") {
    run_hosts(2, connect_to_another);
}
