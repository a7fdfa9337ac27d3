// Slow handshakes make room for those who come from elsewhere.
#include "p2p/bounds/pending_handshakes.hpp"

#include <array>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "io/timeout.hpp"
#include "p2p/host_world_test.hpp"
#include "p2p/quic/quic_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

/// Handshakes, and which of them was told to end last.
struct Handshakes {
    void begin(const std::string& ip, io::Duration at) {
        leases.push_back(pending.begin(
            ip, start + at, [this, number = leases.size()] { ended = static_cast<int>(number); }));
    }

    /// The number of the one that ends for `ip`; -1 where none does.
    int ends_for(const std::string& ip, io::Duration at) {
        ended = -1;
        const std::function<void()> end = pending.end_for(ip, start + at);
        if (end) end();
        return ended;
    }

    PendingHandshakes pending{Limits()};
    io::TimePoint start{1h};
    std::vector<PendingHandshakes::Lease> leases;
    int ended = -1;
};

TEST_CASE("the oldest handshake of the place that has most ends, once its grace is over") {
    Handshakes all;
    CHECK(all.ends_for("192.0.2.9", 0s) == -1);
    all.begin("192.0.2.1", 0s);
    all.begin("192.0.2.2", 100ms);
    all.begin("192.0.2.2", 200ms);
    CHECK(all.ends_for("192.0.2.9", 1999ms) == -1);
    CHECK(all.ends_for("192.0.2.9", 2s) == 0);  // of those that may end, its place has most
    CHECK(all.ends_for("192.0.2.9", 3s) == 1);
    all.leases[1].reset();
    CHECK(all.ends_for("192.0.2.9", 3s) == 0);  // of equal places the oldest
    all.leases[0].reset();
    CHECK(all.ends_for("192.0.2.9", 3s) == 2);
}

TEST_CASE("nobody ends a handshake of a place that has no more than its own") {
    Handshakes all;
    all.begin("192.0.2.1", 0s);
    all.begin("192.0.2.2", 0s);
    CHECK(all.ends_for("192.0.2.2", 1min) == -1);
    all.begin("192.0.2.1", 0s);
    CHECK(all.ends_for("192.0.2.2", 1min) == 0);
    CHECK(all.ends_for("192.0.2.1", 1min) == -1);
    Handshakes six;  // a /56 is one place
    six.begin("2001:db8::1", 0s);
    six.begin("2001:db8:0:2::1", 0s);
    CHECK(six.ends_for("2001:db8:0:1::1", 1min) == -1);
    CHECK(six.ends_for("2001:db8:0:100::1", 1min) == 0);
}

/// Connects again and again, and sends a byte a second of what begins a connection.
io::Task<void> dribble(HostWorld& world, std::string ip) {
    const std::string begin = "\x13/multistream/1.0.0\n";
    while (true) {
        io::Address address{.host = HostWorld::ip(0), .port = 4001};
        auto stream = co_await world.network().host(ip).connect(std::move(address));
        for (std::size_t sent = 0; stream && sent < begin.size(); ++sent) {
            const Bytes byte = as_bytes(begin).subspan(sent, 1);
            const Result<> written = co_await (*stream)->write(byte);
            if (!written) break;
            std::array<std::byte, 64> buffer{};
            const MutableBytes into(buffer);
            auto reading = (*stream)->read_some(into);
            const auto got = co_await io::with_timeout(world.clock(), 1s, std::move(reading));
            const bool is_over = got ? *got == 0 : got.error().code != Errc::timed_out;
            if (is_over) break;
        }
        co_await world.clock().sleep_for(100ms);
    }
}

/// How long it takes host 1 to get to host 0.
io::Task<io::Duration> time_to_connect(HostWorld& world) {
    const io::TimePoint begin = world.clock().now();
    while (true) {
        const auto connected = co_await world.host(1).connect_again(world.address(0));
        if (connected) {
            const auto pinged = co_await world.host(1).ping(*connected);
            if (pinged) break;
        }
        co_await world.clock().sleep_for(100ms);
    }
    const io::Duration took = world.clock().now() - begin;
    world.host(1).disconnect(world.host(0).id());
    co_return took;
}

io::Task<void> connect_among_dribblers(io::TaskGroup& group, HostWorld& world) {
    for (int i = 0; i < 80; ++i)
        group.spawn(dribble, std::ref(world), "10.0.9." + std::to_string(i / 8 + 1));
    co_await world.clock().sleep_for(50ms);
    CHECK(world.host(0).resources().connections_inbound == Limits().pending_inbound_max);
    for (int i = 0; i < 4; ++i) {
        const io::Duration took = co_await time_to_connect(world);
        CHECK(took <= Limits().pending_grace + 500ms);
        CHECK(world.host(0).resources().connections_inbound <= Limits().pending_inbound_max + 1);
        co_await world.clock().sleep_for(700ms);
    }
    group.cancel();
}

TEST_CASE("eighty slow handshakes of ten addresses keep nobody else out for longer than two s") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        co_await io::with_group(connect_among_dribblers, std::ref(world));
        co_await world.clock().sleep_for(Limits().handshake_timeout);
        CHECK(world.host(0).resources().connections() == 0);
    });
}

/// Takes all places of handshakes with first packets of which nothing follows.
io::Task<void> begin_over_quic(HostWorld& world, std::vector<std::unique_ptr<io::UdpSocket>>& all) {
    const QuicIdentity identity(make_key(9));
    const io::Address socket{.host = HostWorld::ip(0), .port = 4001};
    const io::Endpoint remote = io::to_endpoint(socket).value();
    for (int i = 1; i <= 4; ++i) {
        const std::string ip = "10.0.9." + std::to_string(i);
        all.push_back(world.network().host(ip).open_udp({.host = ip, .port = 4001}).value());
        const std::vector<std::byte> packet = session_world::first_packet(
            identity, all.back()->local(), remote, world.host(0).id(), world.clock().now());
        CHECK(all.back()->send(remote, packet, packet.size()));
    }
    co_await world.clock().sleep_for(100ms);
    CHECK(world.host(0).resources().connections_inbound == 4);
}

TEST_CASE("over QUIC, too, a slow handshake ends for one from another address") {
    Limits limits;
    limits.pending_inbound_max = 4;
    testing::Simulation simulation;
    const std::vector<crypto::PrivateKey> keys{make_key(0), make_key(1)};
    HostWorld world(simulation, keys, limits, nullptr, kListenQuic);
    const auto body = [](HostWorld& at) -> io::Task<void> {
        std::vector<std::unique_ptr<io::UdpSocket>> strangers;
        co_await begin_over_quic(at, strangers);
        co_await at.clock().sleep_for(Limits().pending_grace);
        const io::TimePoint begin = at.clock().now();
        const auto connected = co_await at.host(1).connect_again(at.address(0));
        CHECK(connected);
        CHECK(at.clock().now() - begin < 100ms);
        CHECK(at.host(0).resources().connections_inbound == 4);
        for (const auto& stranger : strangers)
            stranger->close();
    };
    simulation.run(
        io::with_group(&detail::run_body<std::decay_t<decltype(body)>>, std::ref(world), body));
}

}  // namespace
}  // namespace kwaai::p2p
