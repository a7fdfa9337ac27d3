// What a session promises of many streams over one connection.
#include <algorithm>
#include <vector>

#include "base/random.hpp"
#include "io/timeout.hpp"
#include "p2p/muxer/session_world_test.hpp"
#include "p2p/quic/quic_world_test.hpp"
#include "testing/fixtures.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace kwaai::p2p::session_world;
using namespace std::chrono_literals;

namespace {

Task<Result<>> write_some(io::Stream& stream, std::size_t size) {
    const std::vector<std::byte> bytes(size, std::byte{'a'});
    const Bytes part(bytes);
    const Result<> written = co_await stream.write(part);
    co_return written;
}

// Sends back what comes until it ends, or anything fails.
Task<void> echo(StreamPtr stream) {
    std::vector<std::byte> buffer(20'000);
    const MutableBytes into(buffer);
    for (;;) {
        const Result<std::size_t> count = co_await stream->read_some(into);
        if (!count || *count == 0) break;
        const Bytes part = Bytes(buffer).first(*count);
        const Result<> written = co_await stream->write(part);
        if (!written) break;
    }
    stream->close();
}

Task<void> serve_echo(TaskGroup& group, MuxedSession& session) {
    for (;;) {
        Result<StreamPtr> stream = co_await session.accept();
        if (!stream) co_return;
        group.spawn(echo, std::move(*stream));
    }
}

// Counts what comes until it ends.
Task<void> count_to_end(io::Stream& stream, std::size_t& total) {
    std::vector<std::byte> buffer(7000);
    const MutableBytes into(buffer);
    for (;;) {
        const Result<std::size_t> count = co_await stream.read_some(into);
        REQUIRE(count);
        if (*count == 0) co_return;
        total += *count;
    }
}

Task<void> write_and_end(io::Stream& stream, std::size_t size) {
    const Result<> written = co_await write_some(stream, size);
    REQUIRE(written);
    const Result<> shut = co_await stream.shutdown_write();
    REQUIRE(shut);
}

Task<void> spawn_exchange(TaskGroup& group,
                          io::Stream& stream,
                          std::size_t size,
                          std::size_t& total) {
    group.spawn(write_and_end, std::ref(stream), size);
    group.spawn(count_to_end, std::ref(stream), std::ref(total));
    co_return;
}

// Sends `size` bytes to an echo and expects them all back.
Task<void> exchange(MuxedSession& session, std::size_t size, std::size_t& done_count) {
    const StreamPtr stream = co_await open(session);
    std::size_t total = 0;
    co_await io::with_group(spawn_exchange, std::ref<io::Stream>(*stream), size, std::ref(total));
    CHECK(total == size);
    ++done_count;
}

Task<void> exchange_both_ways(TaskGroup& group, Sessions& sessions) {
    group.spawn(serve_echo, std::ref(group), std::ref(sessions.listener));
    group.spawn(serve_echo, std::ref(group), std::ref(sessions.dialer));
    std::size_t done_count = 0;
    for (std::size_t i = 0; i < 40; ++i) {
        group.spawn(exchange, std::ref(sessions.dialer), 1 + i * 10'007, std::ref(done_count));
        group.spawn(exchange, std::ref(sessions.listener), 1 + i * 5003, std::ref(done_count));
    }
    while (done_count < 80)
        co_await sessions.simulation.clock().sleep_for(1ms);
    group.cancel();
}

Task<void> spawn_thousand(TaskGroup& group, MuxedSession& session, std::size_t& done_count) {
    for (std::size_t i = 0; i < 1000; ++i)
        group.spawn(exchange, std::ref(session), 1 + i * 3, std::ref(done_count));
    co_return;
}

Task<void> exchange_thousand(TaskGroup& group, Sessions& sessions) {
    group.spawn(serve_echo, std::ref(group), std::ref(sessions.listener));
    std::size_t done_count = 0;
    co_await io::with_group(spawn_thousand, std::ref(sessions.dialer), std::ref(done_count));
    CHECK(done_count == 1000);
    group.cancel();
}

// The group of kFn ends before the sessions are closed.
template <Task<void> (*kFn)(TaskGroup&, Sessions&)>
Task<void> in_group(Sessions& sessions) {
    co_await io::with_group(kFn, std::ref(sessions));
}

Task<void> exchange_beside_stalled(TaskGroup& group, Sessions& sessions) {
    const Ends stalled = co_await connect(sessions);
    Task<Result<>> writing = write_some(*stalled.dialer, 10 << 20);
    io::Clock& clock = sessions.simulation.clock();
    const Result<> written = co_await io::with_timeout(clock, 1s, std::move(writing));
    CHECK(!written);
    group.spawn(serve_echo, std::ref(group), std::ref(sessions.listener));
    std::size_t done_count = 0;
    co_await exchange(sessions.dialer, 3'000'000, done_count);
    CHECK(done_count == 1);
    sessions.listener.close();
}

// Over yamux, and over QUIC.
void with_both(Body body) {
    with_sessions(body);
    with_quic_sessions(body);
}

}  // namespace

TEST_CASE("many streams carry bytes both ways at once") {
    with_both(in_group<exchange_both_ways>);
}

TEST_CASE("a thousand streams live at once") {
    with_both(in_group<exchange_thousand>);
}

TEST_CASE("a reader that stands still does not hold up the other streams") {
    with_both(in_group<exchange_beside_stalled>);
}

TEST_CASE("no more than the window is taken for a reader that stands still") {
    with_both([](Sessions& sessions) -> Task<void> {
        const Ends ends = co_await connect(sessions);
        const std::size_t window = sessions.window_initial;
        std::size_t total = 1;  // connect() wrote one byte, which was read
        io::Clock& clock = sessions.simulation.clock();
        for (;;) {
            Task<Result<>> writing = write_some(*ends.dialer, 1000);
            const Result<> written = co_await io::with_timeout(clock, 1s, std::move(writing));
            if (!written) break;
            total += 1000;
        }
        CHECK(total <= window);
        CHECK(total + 1000 > window);
    });
}

TEST_CASE("a reset ends its stream alone") {
    with_both([](Sessions& sessions) -> Task<void> {
        const Ends broken = co_await connect(sessions);
        const Ends whole = co_await connect(sessions);
        broken.listener->reset(0x1001);
        const Result<> written = co_await write_some(*broken.dialer, 10 << 20);
        REQUIRE(!written);
        CHECK(written.error().code == Errc::closed);
        co_await write_text(*whole.dialer, "whole");
        const std::string text = co_await read_text(*whole.listener);
        CHECK(text == "whole");
    });
}

TEST_CASE("streams beyond the peer's limit fail, the others go on") {
    Limits limits;
    limits.streams_per_connection_max = 3;
    with_sessions(
        [](Sessions& sessions) -> Task<void> {
            std::vector<Ends> ends;
            for (int i = 0; i < 3; ++i)
                ends.push_back(co_await connect(sessions));
            const StreamPtr refused = co_await open(sessions.dialer);
            co_await write_text(*refused, "one too many");
            std::array<std::byte, 8> buffer{};
            const MutableBytes into(buffer);
            const Result<std::size_t> count = co_await refused->read_some(into);
            REQUIRE(!count);
            CHECK(count.error().code == Errc::closed);
            co_await write_text(*ends[2].dialer, "whole");
            const std::string text = co_await read_text(*ends[2].listener);
            CHECK(text == "whole");
        },
        limits);
}

// A swarm of random streams whose sessions end in the middle of it.
namespace {

struct Chaos {
    Sessions& sessions;
    CounterRandom random;
    std::size_t stream_count = 0;

    std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random.next() % bound); }
};

// Does a few random things with a stream, until something fails; then drops it.
Task<void> misbehave(Chaos& chaos, StreamPtr stream) {
    ++chaos.stream_count;
    io::Clock& clock = chaos.sessions.simulation.clock();
    std::vector<std::byte> buffer(1 + chaos.below(100'000));
    const MutableBytes into(buffer);
    for (std::size_t steps = chaos.below(12); steps > 0; --steps) {
        const io::Duration patience = std::chrono::milliseconds(1 + chaos.below(50));
        switch (chaos.below(7)) {
            case 0:
            case 1: {
                Task<Result<std::size_t>> reading = stream->read_some(into);
                co_await io::with_timeout(clock, patience, std::move(reading));
                break;
            }
            case 2:
            case 3: {
                Task<Result<>> writing = write_some(*stream, chaos.below(400'000));
                const Result<> written =
                    co_await io::with_timeout(clock, patience, std::move(writing));
                if (!written && chaos.below(2) == 0) stream->close();
                break;
            }
            case 4: co_await stream->shutdown_write(); break;
            case 5:
                if (chaos.below(2) == 0) stream->close();
                break;
            default: co_await clock.sleep_for(patience);
        }
    }
    if (chaos.below(3) == 0) stream->reset(static_cast<std::uint32_t>(chaos.below(5)));
}

Task<void> open_many(TaskGroup& group, Chaos& chaos, MuxedSession& session) {
    io::Clock& clock = chaos.sessions.simulation.clock();
    for (int i = 0; i < 150; ++i) {
        Result<StreamPtr> stream = co_await session.open();
        if (!stream) co_return;
        group.spawn(misbehave, std::ref(chaos), std::move(*stream));
        if (chaos.below(4) == 0) co_await clock.sleep_for(1ms);
    }
}

Task<void> accept_all(TaskGroup& group, Chaos& chaos, MuxedSession& session) {
    for (;;) {
        Result<StreamPtr> stream = co_await session.accept();
        if (!stream) co_return;
        group.spawn(misbehave, std::ref(chaos), std::move(*stream));
    }
}

Task<void> run_for(io::Clock& clock, io::Duration limit, MuxedSession& session) {
    Task<Result<>> running = session.run();
    co_await io::with_timeout(clock, limit, std::move(running));
}

Task<void> cause_chaos(TaskGroup& group, Chaos& chaos) {
    Sessions& sessions = chaos.sessions;
    io::Clock& clock = sessions.simulation.clock();
    const io::Duration life = std::chrono::milliseconds(20 + chaos.below(200));
    const bool is_cancelled = chaos.below(2) == 0;
    group.spawn(run_for, std::ref(clock), is_cancelled ? life : 1h, std::ref(sessions.dialer));
    group.spawn(run_for, std::ref(clock), io::Duration(1h), std::ref(sessions.listener));
    for (MuxedSession* const session : {&sessions.dialer, &sessions.listener}) {
        group.spawn(open_many, std::ref(group), std::ref(chaos), std::ref(*session));
        group.spawn(accept_all, std::ref(group), std::ref(chaos), std::ref(*session));
    }
    co_await clock.sleep_for(life);
    if (!is_cancelled) sessions.listener.close();
}

Task<void> run_chaos(Sessions& sessions, std::uint64_t seed) {
    Chaos chaos{sessions, CounterRandom(seed)};
    co_await io::with_group(cause_chaos, std::ref(chaos));
    CHECK(chaos.stream_count > 0);
    CHECK(sessions.dialer.stream_count() == 0);
    CHECK(sessions.listener.stream_count() == 0);
    CHECK(sessions.dialer.is_closed());
    CHECK(sessions.listener.is_closed());
}

Task<void> run_yamux_chaos(Simulation& simulation, std::uint64_t seed) {
    StreamPair pair = testing::make_stream_pair({.seed = seed, .capacity = 5000 + seed * 1000});
    Sessions sessions(simulation, std::move(pair));
    co_await run_chaos(sessions, seed);
}

Task<void> run_quic_chaos(Sessions& sessions) {
    co_await run_chaos(sessions, sessions.seed);
}

}  // namespace

TEST_CASE("QUIC sessions end well in the middle of anything, over a network that loses packets") {
    const std::uint64_t first = testing::seed(1);
    for (std::uint64_t seed = first; seed < first + 10; ++seed) {
        INFO("seed " << seed);
        with_quic(run_quic_chaos, false, Limits(), {.jitter = 1ms, .loss = 0.02}, seed);
    }
}

TEST_CASE("sessions end well in the middle of anything") {
    const std::uint64_t first = testing::seed(1);
    for (std::uint64_t seed = first; seed < first + 20; ++seed) {
        INFO("seed " << seed);
        Simulation simulation;
        simulation.run(run_yamux_chaos(simulation, seed));
    }
}
