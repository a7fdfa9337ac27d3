// A changed limit is obeyed: those of `Limits` that no other test of the room changes.
#include "p2p/limits.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "io/timeout.hpp"
#include "p2p/host_world_test.hpp"
#include "p2p/muxer/yamux_test.hpp"
#include "p2p/protocol/identify_wire.hpp"
#include "p2p/quic/quic_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;
using io::Task;
using io::TaskGroup;

// Until the connection ends.
Task<void> hold_stream(std::unique_ptr<Stream> stream) {
    const std::unique_ptr<Stream> held = std::move(stream);
    io::Event never;
    co_await never.wait();
}

// Dials `address`, where nobody is.
Task<void> dial_in_vain(HostWorld& world, Multiaddr address, io::Duration expected) {
    const io::TimePoint begin = world.clock().now();
    const auto connected = co_await world.host(0).connect(std::move(address));
    REQUIRE_FALSE(connected.has_value());
    CHECK(connected.error().code == Errc::timed_out);
    CHECK(world.clock().now() - begin == expected);
}

TEST_CASE("dial_timeout bounds the dial of one address") {
    Limits limits;
    limits.dial_timeout = 700ms;
    run_hosts(1, limits, [](HostWorld& world) -> Task<void> {
        const Multiaddr nowhere = Multiaddr::parse("/ip4/203.0.113.1/tcp/1").value();
        co_await dial_in_vain(world, nowhere.with_peer(make_identity(9)), 700ms);
    });
}

Task<Result<Circuit>> open_no_circuit(Multiaddr /*address*/) {
    io::Event never;
    while (true)
        co_await never.wait();
}

TEST_CASE("circuit_timeout bounds the way over a relay") {
    Limits limits;
    limits.circuit_timeout = 3s;
    run_hosts(1, limits, [](HostWorld& world) -> Task<void> {
        world.host(0).set_circuit_dialer(open_no_circuit);
        const Multiaddr relay =
            Multiaddr::parse("/ip4/203.0.113.1/tcp/1").value().with_peer(make_identity(8));
        co_await dial_in_vain(world, relay.with_circuit().with_peer(make_identity(9)), 3s);
    });
}

TEST_CASE("negotiation_timeout bounds the wait for an answer to identify") {
    Limits limits;
    limits.negotiation_timeout = 2s;
    run_hosts(2, limits, [](HostWorld& world) -> Task<void> {
        world.host(1).handle(kIdentifyProtocol, hold_stream);
        co_await world.clock().sleep_for(1s);  // no push of it is due any more
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        const io::TimePoint begin = world.clock().now();
        const auto info = co_await world.host(0).identify(*peer);
        CHECK_FALSE(info.has_value());
        CHECK(world.clock().now() - begin == 2s);
    });
}

TEST_CASE("identify_bytes_max bounds what identify reads") {
    Limits limits;
    limits.identify_bytes_max = 100;
    run_hosts(2, limits, [](HostWorld& world) -> Task<void> {
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        const io::TimePoint begin = world.clock().now();
        const auto info = co_await world.host(0).identify(*peer);
        CHECK_FALSE(info.has_value());
        CHECK(world.clock().now() - begin < 1s);
    });
}

TEST_CASE("trim_period is how often connections are looked at") {
    Limits limits;
    limits.connections_low = 1;
    limits.connections_high = 2;
    limits.trim_period = 3s;
    run_hosts(5, limits, [](HostWorld& world) -> Task<void> {
        Host& host = world.host(0);
        const io::TimePoint begin = world.clock().now();
        for (std::size_t i = 1; i < world.size(); ++i) {
            host.protect(world.host(i).id(), "test");
            const auto connected = co_await host.connect(world.address(i));
            REQUIRE(connected.has_value());
        }
        co_await world.clock().sleep_until(begin + 4s);
        for (std::size_t i = 1; i < world.size(); ++i)
            host.unprotect(world.host(i).id(), "test");
        co_await world.clock().sleep_until(begin + 5900ms);
        CHECK(host.resources().connections() == 4);
        co_await world.clock().sleep_until(begin + 6500ms);
        CHECK(host.resources().connections() == 2);
    });
}

TEST_CASE("frame_bytes_max bounds the frames that yamux sends") {
    Limits limits;
    limits.frame_bytes_max = 1000;
    yamux_test::Session session(YamuxRole::dialer, limits);
    YamuxStream& stream = session.state.open(session.now);
    std::vector<std::uint32_t> lengths;
    for (const yamux_test::Frame& frame : session.write(stream, std::string(2500, 'a')))
        lengths.push_back(frame.header.length);
    CHECK(lengths == std::vector<std::uint32_t>{1000, 1000, 500});
}

TEST_CASE("control_frames_max bounds the refusals that yamux keeps for a peer") {
    Limits limits;
    limits.streams_per_connection_max = 0;
    limits.control_frames_max = 5;
    yamux_test::Session session(YamuxRole::listener, limits);
    for (const std::uint32_t id : {1, 3, 5, 7, 9})
        session.say(yamux_test::update(yamux_flag::kSyn, id, 0));
    CHECK_FALSE(session.state.is_ended());
    session.say(yamux_test::update(yamux_flag::kSyn, 11, 0));
    CHECK(session.state.is_ended());
}

TEST_CASE("keep_alive is when yamux pings, and twice as long it waits for the answer") {
    Limits limits;
    limits.keep_alive = 7s;
    yamux_test::Session session(YamuxRole::dialer, limits);
    CHECK(session.state.deadline() == session.now + 7s);
    session.now += 7s;
    session.state.on_time(session.now);
    CHECK(session.heard().empty());
    CHECK(session.pings.size() == 1);
    CHECK(session.state.deadline() == session.now + 14s);
    session.state.on_time(session.now + 13999ms);
    CHECK_FALSE(session.state.is_ended());
    session.state.on_time(session.now + 14s);
    CHECK(session.state.is_ended());
}

TEST_CASE("write_stall_max is how long yamux waits for bytes to be taken") {
    Limits limits;
    limits.write_stall_max = 3s;
    yamux_test::Session session(YamuxRole::dialer, limits);
    session.state.begin_sending(session.now);
    session.state.on_time(session.now + 2999ms);
    CHECK_FALSE(session.state.is_ended());
    CHECK(session.state.deadline() == session.now + 3s);
    session.state.on_time(session.now + 3s);
    CHECK(session.state.is_ended());
}

// How long the dialler's session lasts once nothing arrives any more.
Task<void> lose_quic_peer(TaskGroup& group, session_world::QuicWorld& world, io::Duration& lasted) {
    group.spawn(&QuicEndpoint::run, world.dialer.endpoint);
    group.spawn(&QuicEndpoint::run, world.listener.endpoint);
    const std::unique_ptr<session_world::Sessions> sessions = co_await session_world::meet(world);
    world.network.cut("10.0.0.1", "10.0.0.2");
    const io::TimePoint begin = world.simulation.clock().now();
    const Result<> ended = co_await sessions->dialer.run();
    CHECK(ended.error().code == Errc::timed_out);
    lasted = world.simulation.clock().now() - begin;
    world.dialer.endpoint->close();
    world.listener.endpoint->close();
}

TEST_CASE("quic_idle_timeout is when a QUIC connection on which nothing arrives is lost") {
    Limits limits;
    limits.quic_idle_timeout = 5s;
    limits.quic_keep_alive = 2s;
    testing::Simulation simulation;
    session_world::QuicWorld world(simulation, limits);
    io::Duration lasted{};
    simulation.run(io::with_group(lose_quic_peer, std::ref(world), std::ref(lasted)));
    CHECK(lasted >= 4s);
    CHECK(lasted <= 8s);
}

constexpr io::Duration kQuiet = 60s;

Task<void> stay_quiet(session_world::Sessions& sessions) {
    co_await sessions.simulation.clock().sleep_for(kQuiet);
    CHECK_FALSE(sessions.dialer_end.has_value());
    CHECK_FALSE(sessions.listener_end.has_value());
}

Task<void> go_idle(session_world::Sessions& sessions) {
    co_await sessions.simulation.clock().sleep_for(kQuiet);
    CHECK(sessions.dialer_end == Errc::timed_out);
    CHECK(sessions.listener_end == Errc::timed_out);
}

TEST_CASE("quic_keep_alive is how often a quiet QUIC connection says that it is there") {
    Limits limits;
    limits.quic_idle_timeout = 10s;
    limits.quic_keep_alive = 3s;
    session_world::with_quic_sessions(stay_quiet, limits);
    limits.quic_keep_alive = 1h;
    session_world::with_quic_sessions(go_idle, limits);
}

// Whether two streams that nobody reads take 48 KiB each.
Task<void> fill_two_streams(session_world::Sessions& sessions, bool& is_second_taken) {
    const std::vector<std::byte> bytes(48 << 10);
    const Bytes view(bytes);
    io::Clock& clock = sessions.simulation.clock();
    const session_world::StreamPtr one = co_await session_world::open(sessions.dialer);
    const Result<> first = co_await one->write(view);
    CHECK(first.has_value());
    co_await clock.sleep_for(1s);  // all of it is on its way
    const session_world::StreamPtr other = co_await session_world::open(sessions.dialer);
    auto writing = other->write(view);
    const Result<> second = co_await io::with_timeout(clock, 1s, std::move(writing));
    is_second_taken = second.has_value();
}

Task<void> expect_blocked(session_world::Sessions& sessions) {
    bool is_second_taken = true;
    co_await fill_two_streams(sessions, is_second_taken);
    CHECK_FALSE(is_second_taken);
}

Task<void> expect_taken(session_world::Sessions& sessions) {
    bool is_second_taken = false;
    co_await fill_two_streams(sessions, is_second_taken);
    CHECK(is_second_taken);
}

TEST_CASE("quic_window_total bounds what arrives unread on all streams of a QUIC connection") {
    Limits limits;
    limits.quic_window_total = 64 << 10;
    session_world::with_quic_sessions(expect_blocked, limits);
    limits.quic_window_total = 128 << 10;
    session_world::with_quic_sessions(expect_taken, limits);
}

// How long 80 KiB take to be on their way, where a round trip takes 200 ms.
Task<void> write_far(session_world::Sessions& sessions, io::Duration& took) {
    const std::vector<std::byte> bytes(80 << 10);
    const Bytes view(bytes);
    const session_world::StreamPtr stream = co_await session_world::open(sessions.dialer);
    const io::TimePoint begin = sessions.simulation.clock().now();
    const Result<> written = co_await stream->write(view);
    CHECK(written.has_value());
    took = sessions.simulation.clock().now() - begin;
}

Task<void> expect_many_round_trips(session_world::Sessions& sessions) {
    io::Duration took{};
    co_await write_far(sessions, took);
    CHECK(took >= 1500ms);
}

Task<void> expect_few_round_trips(session_world::Sessions& sessions) {
    io::Duration took{};
    co_await write_far(sessions, took);
    CHECK(took < 1s);
}

TEST_CASE("quic_unacknowledged_max bounds what a QUIC connection keeps to send again") {
    const testing::SimLink far{.latency = 100ms};
    Limits limits;
    session_world::with_quic(expect_few_round_trips, true, limits, far);
    limits.quic_unacknowledged_max = 8 << 10;
    session_world::with_quic(expect_many_round_trips, true, limits, far);
}

}  // namespace
}  // namespace kwaai::p2p
