// Yamux over a connection: the streams' behaviour, and how sessions begin and end.
#include "p2p/muxer/yamux_session.hpp"

#include <array>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "io/event.hpp"
#include "io/task_group.hpp"
#include "io/timeout.hpp"
#include "p2p/muxer/session_world_test.hpp"
#include "p2p/muxer/yamux_test.hpp"
#include "testing/memory_stream.hpp"
#include "testing/stream_conformance.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace kwaai::p2p::session_world;
using namespace std::chrono_literals;
using io::Task;
using io::TaskGroup;
using testing::Simulation;
using testing::StreamCaseBody;
using testing::StreamPair;

namespace {

Task<void> run_stream_case(TaskGroup& group,
                           Sessions& sessions,
                           StreamCaseBody body,
                           bool is_swapped) {
    spawn_both(group, sessions);
    const Ends ends = co_await connect(sessions);
    io::Stream& a = is_swapped ? *ends.listener : *ends.dialer;
    io::Stream& b = is_swapped ? *ends.dialer : *ends.listener;
    co_await body(sessions.simulation, a, b);
    sessions.dialer.close();
}

template <std::uint64_t kSeed, std::size_t kCapacity, bool kIsSwapped>
Task<void> with_muxed_pair(Simulation& simulation, StreamCaseBody body) {
    StreamPair pair = testing::make_stream_pair({.seed = kSeed, .capacity = kCapacity});
    Sessions sessions(simulation, std::move(pair));
    co_await io::with_group(run_stream_case, std::ref(sessions), body, kIsSwapped);
}

}  // namespace

TEST_CASE("a yamux stream is a stream") {
    testing::check_stream_conformance(with_muxed_pair<0, 64 << 10, false>);
    testing::check_stream_conformance(with_muxed_pair<0, 1 << 20, true>);
}

TEST_CASE("a yamux stream is a stream over a connection in pieces") {
    testing::check_stream_conformance(with_muxed_pair<3, 64 << 10, false>);
    testing::check_stream_conformance(with_muxed_pair<4, 1000, true>);
}

TEST_CASE("close ends both sessions in good order") {
    with_sessions([](Sessions& sessions) -> Task<void> {
        sessions.dialer.close();
        sessions.dialer.close();
        CHECK(sessions.dialer.is_closed());
        const Result<StreamPtr> opened = co_await sessions.dialer.open();
        REQUIRE(!opened);
        CHECK(opened.error().code == Errc::closed);
        const Result<StreamPtr> accepted = co_await sessions.listener.accept();
        REQUIRE(!accepted);
        CHECK(accepted.error().code == Errc::closed);
        co_await testing::let_others_run();
        CHECK(sessions.dialer_end == Errc::closed);
        CHECK(sessions.listener_end == Errc::closed);
        CHECK(sessions.simulation.clock().now() == io::TimePoint(1h));
    });
}

TEST_CASE("what was written before close arrives") {
    with_sessions([](Sessions& sessions) -> Task<void> {
        const Ends ends = co_await connect(sessions);
        const std::string text(200'000, 'a');
        co_await write_text(*ends.dialer, text);
        const Result<> shut = co_await ends.dialer->shutdown_write();
        CHECK(shut);
        sessions.dialer.close();
        std::size_t total = 0;
        for (;;) {
            const std::string piece = co_await read_text(*ends.listener);
            if (piece.empty()) break;
            total += piece.size();
        }
        CHECK(total == text.size());
    });
}

TEST_CASE("streams of a closed session fail, and may outlive its run") {
    with_sessions([](Sessions& sessions) -> Task<void> {
        const Ends ends = co_await connect(sessions);
        const StreamPtr unused = co_await open(sessions.dialer);
        sessions.listener.close();
        std::array<std::byte, 8> buffer{};
        const MutableBytes into(buffer);
        const Result<std::size_t> count = co_await ends.dialer->read_some(into);
        REQUIRE(!count);
        CHECK(count.error().code == Errc::closed);
        const Result<std::size_t> count_too = co_await ends.listener->read_some(into);
        REQUIRE(!count_too);
        CHECK(count_too.error().code == Errc::closed);
        const Bytes part = as_bytes("x");
        const Result<> written = co_await unused->write(part);
        REQUIRE(!written);
        CHECK(written.error().code == Errc::closed);
        const Result<> shut = co_await ends.listener->shutdown_write();
        CHECK(!shut);
        ends.dialer->reset(5);
        ends.dialer->close();
        CHECK(ends.dialer->peer() == "memory");
    });
}

TEST_CASE("a reset wakes the peer's read with its reason") {
    with_sessions([](Sessions& sessions) -> Task<void> {
        const Ends ends = co_await connect(sessions);
        ends.dialer->reset(0x1004);
        std::array<std::byte, 8> buffer{};
        const MutableBytes into(buffer);
        const Result<std::size_t> count = co_await ends.listener->read_some(into);
        REQUIRE(!count);
        CHECK(count.error().code == Errc::closed);
        CHECK(count.error().context.find(std::to_string(0x1004)) != std::string::npos);
    });
}

TEST_CASE("a stream that was destroyed resets its peer") {
    with_sessions([](Sessions& sessions) -> Task<void> {
        Ends ends = co_await connect(sessions);
        ends.dialer.reset();
        std::array<std::byte, 8> buffer{};
        const MutableBytes into(buffer);
        const Result<std::size_t> count = co_await ends.listener->read_some(into);
        CHECK(!count);
        ends.listener.reset();
        CHECK(sessions.listener.stream_count() == 0);
        CHECK(sessions.dialer.stream_count() == 0);
    });
}

TEST_CASE("a stream that was closed after the end of its peer leaves nothing behind") {
    with_sessions([](Sessions& sessions) -> Task<void> {
        Ends ends = co_await connect(sessions);
        ends.dialer->close();
        const std::string end = co_await read_text(*ends.listener);
        CHECK(end.empty());
        ends.listener->close();
        co_await testing::let_others_run();
        CHECK(sessions.listener.stream_count() == 0);
        CHECK(sessions.dialer.stream_count() == 0);
    });
}

TEST_CASE("a cancelled write unwinds at once and its stream is reset at close") {
    with_sessions([](Sessions& sessions) -> Task<void> {
        const Ends ends = co_await connect(sessions);
        const std::string text(1 << 20, 'a');
        const Bytes part = as_bytes(text);
        Task<Result<>> writing = ends.dialer->write(part);
        io::Clock& clock = sessions.simulation.clock();
        const Result<> written = co_await io::with_timeout(clock, 5s, std::move(writing));
        REQUIRE(!written);
        CHECK(written.error().code == Errc::timed_out);
        ends.dialer->close();
        std::size_t total = 0;
        std::array<std::byte, 1000> buffer{};
        const MutableBytes into(buffer);
        for (;;) {
            const Result<std::size_t> count = co_await ends.listener->read_some(into);
            if (!count) break;
            REQUIRE(*count > 0);
            total += *count;
        }
        CHECK(total < text.size());
    });
}

TEST_CASE("opening goes on when the peer accepts") {
    Limits limits;
    limits.unacknowledged_streams_max = 2;
    with_sessions(
        [](Sessions& sessions) -> Task<void> {
            const StreamPtr first = co_await open(sessions.dialer);
            co_await write_text(*first, "1");
            const StreamPtr second = co_await open(sessions.dialer);
            io::Clock& clock = sessions.simulation.clock();
            Task<Result<StreamPtr>> opening = sessions.dialer.open();
            const Result<StreamPtr> blocked =
                co_await io::with_timeout(clock, 1s, std::move(opening));
            REQUIRE(!blocked);
            CHECK(blocked.error().code == Errc::timed_out);
            const StreamPtr accepted = co_await accept(sessions.listener);
            const StreamPtr third = co_await open(sessions.dialer);
            CHECK(third);
        },
        limits);
}

TEST_CASE("an idle session stays alive, and knows its round trip") {
    with_sessions([](Sessions& sessions) -> Task<void> {
        const Ends ends = co_await connect(sessions);
        io::Clock& clock = sessions.simulation.clock();
        co_await clock.sleep_for(2h);
        CHECK(!sessions.dialer.is_closed());
        CHECK(sessions.dialer.round_trip_time() == 0ns);
        co_await write_text(*ends.listener, "still here");
        const std::string text = co_await read_text(*ends.dialer);
        CHECK(text == "still here");
    });
}

namespace {

// A session whose peer is the test's own hand.
struct Half {
    explicit Half(Simulation& simulation, StreamPair pair)
        : peer(std::move(pair.server)),
          session(std::move(pair.client), YamuxRole::dialer, {}, simulation.clock()) {}

    std::unique_ptr<io::Stream> peer;
    YamuxSession session;
    std::optional<Errc> end;
};

using HalfBody = Task<void> (*)(TaskGroup& group, Simulation& simulation, Half& half);

Task<void> run_half(Simulation& simulation, HalfBody body) {
    Half half(simulation, testing::make_stream_pair());
    co_await io::with_group(body, std::ref(simulation), std::ref(half));
}

void with_half(HalfBody body) {
    Simulation simulation;
    simulation.run(run_half(simulation, body));
}

}  // namespace

TEST_CASE("a session ends as closed when the peer hangs up") {
    with_half([](TaskGroup& group, Simulation&, Half& half) -> Task<void> {
        group.spawn(run, std::ref(half.session), std::ref(half.end));
        co_await testing::let_others_run();
        CHECK(!half.end);
        half.peer->close();
        co_await testing::let_others_run();
        CHECK(half.end == Errc::closed);
    });
}

TEST_CASE("a session ends as malformed when the peer breaks the protocol, and says so") {
    with_half([](TaskGroup& group, Simulation&, Half& half) -> Task<void> {
        group.spawn(run, std::ref(half.session), std::ref(half.end));
        const StreamPtr stream = co_await open(half.session);
        co_await write_text(*half.peer, std::string(100, '\x7f'));
        const std::string said = co_await read_text(*half.peer);
        CHECK(said == yamux_test::to_text(yamux_test::go_away(1)));
        co_await testing::let_others_run();
        CHECK(half.end == Errc::malformed);
        const Bytes part = as_bytes("x");
        const Result<> written = co_await stream->write(part);
        CHECK(!written);
    });
}

TEST_CASE("a session ends as timed out when the peer says nothing") {
    with_half([](TaskGroup& group, Simulation& simulation, Half& half) -> Task<void> {
        group.spawn(run, std::ref(half.session), std::ref(half.end));
        io::Clock& clock = simulation.clock();
        co_await clock.sleep_for(89s);
        CHECK(!half.end);
        co_await clock.sleep_for(2s);
        CHECK(half.end == Errc::timed_out);
    });
}

TEST_CASE("a session ends as timed out when the peer takes no bytes") {
    with_half([](TaskGroup& group, Simulation& simulation, Half& half) -> Task<void> {
        group.spawn(run, std::ref(half.session), std::ref(half.end));
        const StreamPtr stream = co_await open(half.session);
        const std::string text(200'000, 'a');
        const Bytes part = as_bytes(text);
        const Result<> first = co_await stream->write(part);
        CHECK(first);  // the connection is full now
        const Result<> second = co_await stream->write(part);
        REQUIRE(!second);
        CHECK(second.error().code == Errc::closed);
        co_await testing::let_others_run();
        CHECK(half.end == Errc::timed_out);
        CHECK(simulation.clock().now() == io::TimePoint(1h + 30s));
    });
}

TEST_CASE("a close that the peer does not follow takes a second") {
    with_half([](TaskGroup& group, Simulation& simulation, Half& half) -> Task<void> {
        group.spawn(run, std::ref(half.session), std::ref(half.end));
        co_await testing::let_others_run();
        half.session.close();
        io::Clock& clock = simulation.clock();
        co_await clock.sleep_for(999ms);
        CHECK(!half.end);
        co_await clock.sleep_for(2ms);
        CHECK(half.end == Errc::closed);
    });
}

TEST_CASE("a session whose run is cancelled fails its streams and hangs up") {
    with_half([](TaskGroup& group, Simulation& simulation, Half& half) -> Task<void> {
        (void)group;
        const StreamPtr stream = co_await open(half.session);
        io::Clock& clock = simulation.clock();
        Task<Result<>> running = half.session.run();
        const Result<> ran = co_await io::with_timeout(clock, 1s, std::move(running));
        REQUIRE(!ran);
        CHECK(ran.error().code == Errc::timed_out);
        std::array<std::byte, 8> buffer{};
        const MutableBytes into(buffer);
        const Result<std::size_t> count = co_await stream->read_some(into);
        REQUIRE(!count);
        CHECK(count.error().code == Errc::closed);
        const std::string end = co_await read_text(*half.peer);
        CHECK(end.empty());
    });
}

TEST_CASE("frames that are ready in one turn leave in one write") {
    with_half([](TaskGroup& group, Simulation&, Half& half) -> Task<void> {
        group.spawn(run, std::ref(half.session), std::ref(half.end));
        co_await testing::let_others_run();
        std::vector<StreamPtr> streams;
        for (int i = 0; i < 3; ++i) {
            streams.push_back(co_await open(half.session));
            group.spawn(write_text, std::ref<io::Stream>(*streams.back()), std::string("hello"));
        }
        const std::string said = co_await read_text(*half.peer);
        const auto frames = yamux_test::parse(as_bytes(said));
        REQUIRE(frames.size() == 4);
        for (std::uint32_t i = 0; i < 3; ++i)
            CHECK(frames[i] == yamux_test::data(yamux_flag::kSyn, 2 * i + 1, "hello"));
        CHECK(frames[3] == yamux_test::ping(yamux_flag::kSyn, 1));
        half.peer->close();
        co_await testing::let_others_run();
    });
}
