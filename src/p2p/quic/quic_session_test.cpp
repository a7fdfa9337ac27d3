// Streams and sessions of QUIC connections. What any session promises is tested in muxer_test.cpp.
#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>
#include <optional>
#include <vector>

#include "io/timeout.hpp"
#include "p2p/quic/quic_core.hpp"
#include "p2p/quic/quic_world_test.hpp"
#include "testing/stream_conformance.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace kwaai::p2p::session_world;
using namespace std::chrono_literals;

namespace {

// The suite's two ends, where the first or the second one has opened the stream.
struct StreamCase {
    QuicWorld& world;
    testing::StreamCaseBody body;
    bool is_dialer_first;
};

Task<void> run_case_beside(TaskGroup& group, Sessions& sessions, StreamCase& wanted) {
    spawn_both(group, sessions);
    {
        const Ends ends = co_await connect(sessions);
        io::Stream& dialer = *ends.dialer;
        io::Stream& listener = *ends.listener;
        co_await wanted.body(sessions.simulation,
                             wanted.is_dialer_first ? dialer : listener,
                             wanted.is_dialer_first ? listener : dialer);
    }
    sessions.dialer.close();
    sessions.listener.close();
}

Task<void> run_case(TaskGroup& group, StreamCase& wanted) {
    QuicWorld& world = wanted.world;
    group.spawn(&QuicEndpoint::run, world.dialer.endpoint);
    group.spawn(&QuicEndpoint::run, world.listener.endpoint);
    const std::unique_ptr<Sessions> sessions = co_await meet(world);
    co_await io::with_group(run_case_beside, std::ref(*sessions), std::ref(wanted));
    world.dialer.endpoint->close();
    world.listener.endpoint->close();
}

template <bool kIsDialerFirst>
Task<void> with_quic_streams(Simulation& simulation, testing::StreamCaseBody body) {
    Limits limits;
    limits.quic_window_initial = limits.quic_window_max = 32 << 10;
    QuicWorld world(simulation, limits, {.latency = 50us});
    StreamCase wanted{.world = world, .body = body, .is_dialer_first = kIsDialerFirst};
    co_await io::with_group(run_case, std::ref(wanted));
}

Task<void> lose_peer(TaskGroup& group, QuicWorld& world) {
    group.spawn(&QuicEndpoint::run, world.dialer.endpoint);
    group.spawn(&QuicEndpoint::run, world.listener.endpoint);
    const std::unique_ptr<Sessions> sessions = co_await meet(world);
    world.network.cut("10.0.0.1", "10.0.0.2");
    const io::TimePoint begin = world.simulation.clock().now();
    const Result<> ended = co_await sessions->dialer.run();
    CHECK(ended.error().code == Errc::timed_out);
    CHECK(world.simulation.clock().now() - begin >= 30s);
    CHECK(world.simulation.clock().now() - begin <= 50s);
    world.dialer.endpoint->close();
    world.listener.endpoint->close();
}

Task<void> take(QuicWorld& world, std::optional<Result<PeerId>>& peer) {
    while (world.accepted == nullptr)
        co_await world.simulation.clock().sleep_for(1ms);
    peer = co_await world.accepted->handshake();
}

QuicCoreOptions client_options(QuicWorld& world) {
    QuicCoreOptions options;
    options.identity = &world.dialer.endpoint->identity();
    options.limits = &world.dialer.endpoint->limits();
    options.local = world.dialer.endpoint->port().local();
    options.remote = world.listener.endpoint->port().local();
    return options;
}

// Its last flight has not left then.
Task<void> shake_client(QuicWorld& world, QuicCore& client) {
    io::UdpSocket& port = world.dialer.endpoint->port();
    const io::Clock& clock = world.simulation.clock();
    std::vector<std::byte> space(io::kUdpBatchBytesMax);
    while (!client.is_handshaken()) {
        const QuicCore::Batch batch = client.produce(space, clock.now());
        if (!batch.bytes.empty()) {
            CHECK(port.send(batch.to, batch.bytes, batch.packet_bytes));
            continue;
        }
        const auto packets = co_await port.receive();
        REQUIRE(packets);
        for (const io::Packet& packet : *packets)
            client.receive(packet.from, packet.bytes, clock.now());
    }
}

// The sizes of all batches that leave at one time, when a megabyte waits.
std::vector<std::size_t> burst_sizes(QuicCore& client, io::TimePoint now) {
    const std::vector<std::byte> waiting(1 << 20);
    const std::array<Bytes, 1> parts{Bytes(waiting)};
    QuicStream& stream = client.open();
    REQUIRE(client.begin_write(stream, parts));
    std::vector<std::byte> space(io::kUdpBatchBytesMax);
    std::vector<std::size_t> sizes;
    for (;;) {
        const QuicCore::Batch batch = client.produce(space, now);
        if (batch.bytes.empty()) break;
        sizes.push_back(batch.bytes.size());
    }
    client.reset(stream, 0);
    return sizes;
}

Task<void> send_a_window(TaskGroup& group, QuicWorld& world) {
    group.spawn(&QuicEndpoint::run, world.listener.endpoint);
    group.spawn(answer, std::ref(world));
    const io::Clock& clock = world.simulation.clock();
    QuicCore client(client_options(world), world.listener.id(), clock.now());
    co_await shake_client(world, client);
    const std::vector<std::size_t> sizes = burst_sizes(client, clock.now());
    const std::size_t window = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
    CHECK(window > 10'000);
    CHECK(std::ranges::max(sizes) <= window / 2);
    world.listener.endpoint->close();
}

// A client until its handshake is done: its last flight, and a goodbye behind it.
Task<std::vector<std::vector<std::byte>>> shake_and_leave(QuicWorld& world, QuicCore& client) {
    const io::Clock& clock = world.simulation.clock();
    co_await shake_client(world, client);
    std::vector<std::byte> space(1500);  // for one packet
    std::vector<std::vector<std::byte>> last;
    while (!client.is_ended()) {
        const QuicCore::Batch batch = client.produce(space, clock.now());
        if (batch.bytes.empty())
            client.close(clock.now());
        else
            last.emplace_back(batch.bytes.begin(), batch.bytes.end());
    }
    co_return last;
}

Task<void> come_and_go(TaskGroup& group, QuicWorld& world) {
    group.spawn(&QuicEndpoint::run, world.listener.endpoint);
    std::optional<Result<PeerId>> peer;
    group.spawn(take, std::ref(world), std::ref(peer));
    const QuicCoreOptions options = client_options(world);
    QuicCore client(options, world.listener.id(), world.simulation.clock().now());
    const auto packets = co_await shake_and_leave(world, client);
    for (const std::vector<std::byte>& packet : packets)  // at once
        world.accepted->receive(options.local, packet);
    world.accepted->wake();
    co_await world.simulation.clock().sleep_for(1s);
    REQUIRE(peer.has_value());
    REQUIRE(peer->has_value());
    CHECK(**peer == world.dialer.id());
    CHECK(world.accepted->is_closed());
    world.listener.endpoint->close();
}

Task<Errc> read_failure(io::Stream& stream) {
    std::array<std::byte, 16> buffer{};
    const MutableBytes into(buffer);
    const Result<std::size_t> count = co_await stream.read_some(into);
    REQUIRE(!count);
    co_return count.error().code;
}

}  // namespace

TEST_CASE("streams of QUIC connections are streams") {
    testing::check_stream_conformance(with_quic_streams<true>);
    testing::check_stream_conformance(with_quic_streams<false>);
}

TEST_CASE("as many QUIC streams live at once as the peer allows, others wait for one to end") {
    Limits limits;
    limits.quic_streams_max = 3;
    with_quic_sessions(
        [](Sessions& sessions) -> Task<void> {
            std::vector<Ends> ends;
            for (int i = 0; i < 3; ++i)
                ends.push_back(co_await connect(sessions));
            io::Clock& clock = sessions.simulation.clock();
            auto opening = sessions.dialer.open();
            const auto none = co_await io::with_timeout(clock, 1s, std::move(opening));
            REQUIRE(!none);
            CHECK(none.error().code == Errc::timed_out);
            ends.pop_back();
            const Ends another = co_await connect(sessions);
            CHECK(another.listener != nullptr);
        },
        limits);
}

TEST_CASE("what was written before a QUIC session is closed arrives, then its end") {
    with_quic_sessions([](Sessions& sessions) -> Task<void> {
        const Ends ends = co_await connect(sessions);
        co_await write_text(*ends.dialer, "goodbye");
        sessions.dialer.close();
        const std::string text = co_await read_text(*ends.listener);
        CHECK(text == "goodbye");
        const Errc code = co_await read_failure(*ends.listener);
        CHECK(code == Errc::closed);
        CHECK(sessions.listener.is_closed());
    });
}

TEST_CASE("who says goodbye right behind the QUIC handshake has been here") {
    testing::Simulation simulation;
    QuicWorld world(simulation, Limits());
    simulation.run(io::with_group(come_and_go, std::ref(world)));
}

TEST_CASE("a QUIC congestion window leaves in bursts, on which the peer can work meanwhile") {
    testing::Simulation simulation;
    QuicWorld world(simulation, Limits());
    simulation.run(io::with_group(send_a_window, std::ref(world)));
}

TEST_CASE("an idle QUIC connection is kept alive, one whose peer is gone ends in half a minute") {
    with_quic(
        [](Sessions& sessions) -> Task<void> {
            const Ends ends = co_await connect(sessions);
            io::Clock& clock = sessions.simulation.clock();
            co_await clock.sleep_for(10min);
            co_await write_text(*ends.dialer, "still there");
            const std::string text = co_await read_text(*ends.listener);
            CHECK(text == "still there");
        },
        true);
    testing::Simulation simulation;
    QuicWorld world(simulation, Limits());
    simulation.run(io::with_group(lose_peer, std::ref(world)));
}

TEST_CASE("QUIC carries megabytes over a network that loses, doubles and reorders packets") {
    with_quic(
        [](Sessions& sessions) -> Task<void> {
            const Ends ends = co_await connect(sessions);
            const std::vector<std::byte> sent(3'000'000, std::byte{'x'});
            struct Counting {
                static Task<void> read(io::Stream& stream, std::size_t& total) {
                    std::vector<std::byte> buffer(50'000);
                    const MutableBytes into(buffer);
                    for (;;) {
                        const Result<std::size_t> count = co_await stream.read_some(into);
                        REQUIRE(count);
                        if (*count == 0) co_return;
                        total += *count;
                    }
                }

                static Task<void> write(io::Stream& stream, const std::vector<std::byte>& bytes) {
                    const Bytes part(bytes);
                    const Result<> written = co_await stream.write(part);
                    REQUIRE(written);
                    const Result<> shut = co_await stream.shutdown_write();
                    REQUIRE(shut);
                }

                static Task<void> both(TaskGroup& group,
                                       const Ends& ends,
                                       const std::vector<std::byte>& bytes,
                                       std::size_t& total) {
                    group.spawn(write, std::ref<io::Stream>(*ends.dialer), std::ref(bytes));
                    group.spawn(read, std::ref<io::Stream>(*ends.listener), std::ref(total));
                    co_return;
                }
            };
            std::size_t total = 0;
            co_await io::with_group(
                &Counting::both, std::ref(ends), std::ref(sent), std::ref(total));
            CHECK(total == sent.size());
        },
        true,
        Limits(),
        {.latency = 10ms, .jitter = 3ms, .loss = 0.01, .duplication = 0.1});
}
