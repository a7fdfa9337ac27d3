// Two sessions of streams that are connected, for tests.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "io/task_group.hpp"
#include "p2p/muxer/yamux_session.hpp"
#include "testing/memory_stream.hpp"
#include "testing/simulation.hpp"

namespace kwaai::p2p::session_world {

using io::Task;
using io::TaskGroup;
using testing::Simulation;
using testing::StreamPair;

using StreamPtr = std::unique_ptr<MuxedStream>;

// Two sessions, and how they ended.
struct Sessions {
    // Yamux, over a connection in memory.
    explicit Sessions(Simulation& world, StreamPair pair, const Limits& limits = Limits())
        : Sessions(world,
                   std::make_unique<YamuxSession>(
                       std::move(pair.client), YamuxRole::dialer, limits, world.clock()),
                   std::make_unique<YamuxSession>(
                       std::move(pair.server), YamuxRole::listener, limits, world.clock()),
                   limits.window_initial) {}

    Sessions(Simulation& world,
             std::unique_ptr<MuxedSession> dials,
             std::unique_ptr<MuxedSession> listens,
             std::size_t window)
        : simulation(world),
          owned_dialer(std::move(dials)),
          owned_listener(std::move(listens)),
          dialer(*owned_dialer),
          listener(*owned_listener),
          window_initial(window) {}

    Simulation& simulation;
    std::unique_ptr<MuxedSession> owned_dialer;
    std::unique_ptr<MuxedSession> owned_listener;
    MuxedSession& dialer;
    MuxedSession& listener;
    std::size_t window_initial;  // of a stream
    std::uint64_t seed = 1;
    std::optional<Errc> dialer_end;
    std::optional<Errc> listener_end;
};

inline Task<void> run(MuxedSession& session, std::optional<Errc>& end) {
    const Result<> result = co_await session.run();
    REQUIRE(!result);
    end = result.error().code;
}

inline void spawn_both(TaskGroup& group, Sessions& sessions) {
    group.spawn(run, std::ref(sessions.dialer), std::ref(sessions.dialer_end));
    group.spawn(run, std::ref(sessions.listener), std::ref(sessions.listener_end));
}

inline Task<void> write_text(io::Stream& stream, std::string text) {
    const Bytes part = as_bytes(text);
    const Result<> written = co_await stream.write(part);
    REQUIRE(written);
}

// One read; "" at the end.
inline Task<std::string> read_text(io::Stream& stream) {
    std::array<std::byte, 1000> buffer{};
    const MutableBytes into(buffer);
    const Result<std::size_t> count = co_await stream.read_some(into);
    REQUIRE(count);
    co_return std::string(as_text(Bytes(buffer).first(*count)));
}

inline Task<StreamPtr> open(MuxedSession& session) {
    Result<StreamPtr> stream = co_await session.open();
    REQUIRE(stream);
    co_return std::move(*stream);
}

inline Task<StreamPtr> accept(MuxedSession& session) {
    Result<StreamPtr> stream = co_await session.accept();
    REQUIRE(stream);
    co_return std::move(*stream);
}

struct Ends {
    StreamPtr dialer;
    StreamPtr listener;
};

// A stream that both sides have.
inline Task<Ends> connect(Sessions& sessions) {
    Ends ends;
    ends.dialer = co_await open(sessions.dialer);
    co_await write_text(*ends.dialer, "!");
    ends.listener = co_await accept(sessions.listener);
    const std::string first = co_await read_text(*ends.listener);
    REQUIRE(first == "!");
    co_return ends;
}

using Body = Task<void> (*)(Sessions& sessions);

inline Task<void> run_body(TaskGroup& group, Sessions& sessions, Body body) {
    spawn_both(group, sessions);
    co_await body(sessions);
    sessions.dialer.close();
    sessions.listener.close();
}

inline Task<void> run_sessions(Simulation& simulation,
                               Body body,
                               std::uint64_t seed,
                               Limits limits) {
    StreamPair pair = testing::make_stream_pair({.seed = seed, .capacity = 64 << 10});
    Sessions sessions(simulation, std::move(pair), limits);
    co_await io::with_group(run_body, std::ref(sessions), body);
    CHECK(sessions.dialer_end.has_value());
    CHECK(sessions.listener_end.has_value());
}

// Runs `body` with two yamux sessions, then closes both.
inline void with_sessions(Body body, const Limits& limits = Limits()) {
    for (const std::uint64_t seed : {0, 1, 2}) {
        Simulation simulation;
        simulation.run(run_sessions(simulation, body, seed, limits));
    }
}

}  // namespace kwaai::p2p::session_world
