#include "http/server.hpp"

#include <functional>
#include <optional>
#include <utility>

#include "http/connection.hpp"
#include "io/event.hpp"
#include "io/task_group.hpp"
#include "io/timeout.hpp"

namespace kwaai::http {
namespace {

// After an accept() that failed for the lack of something, usually file descriptors.
constexpr std::chrono::milliseconds kAcceptPause{50};

}  // namespace

struct Server::State {
    State(io::Clock& clock, Handler& handler, const Limits& limits)
        : service{.clock = clock,
                  .handler = handler,
                  .limits = limits,
                  .stats = {},
                  .connections = {}} {}

    io::Task<void> accept_all(io::TaskGroup& group, io::Listener& from, Result<>& outcome);
    void admit(io::TaskGroup& group, std::unique_ptr<io::Stream> stream);
    io::Task<void> serve_one(std::unique_ptr<io::Stream> stream);
    io::Task<void> refuse_one(std::unique_ptr<io::Stream> stream);
    io::Task<void> end_grace(io::TaskGroup& group);

    Service service;
    std::size_t serving = 0;
    std::size_t refusing = 0;
    io::Event changed;  // serving, refusing, grace_end
    std::optional<io::TimePoint> grace_end;
    io::Listener* listener = nullptr;  // while serve() accepts
};

Server::Server(io::Clock& clock, Handler& handler, Limits limits)
    : state_(std::make_unique<State>(clock, handler, limits)) {}

Server::~Server() = default;

io::Task<Result<>> Server::serve(io::Listener& listener) {
    static constexpr auto accepting =
        [](io::TaskGroup& group, State& state, io::Listener& from, Result<>& result) {
            return state.accept_all(group, from, result);
        };
    Result<> outcome;
    co_await io::with_group(accepting, std::ref(*state_), std::ref(listener), std::ref(outcome));
    co_return outcome;
}

io::Task<void> Server::State::accept_all(io::TaskGroup& group,
                                         io::Listener& from,
                                         Result<>& outcome) {
    static constexpr auto ending = [](State& state, io::TaskGroup& all) {
        return state.end_grace(all);
    };

    struct Unlink {
        State& state;

        ~Unlink() { state.listener = nullptr; }
    };

    const Unlink unlink{*this};
    listener = &from;
    while (!service.is_stopping) {
        Result<std::unique_ptr<io::Stream>> accepted = co_await from.accept();
        if (accepted) {
            admit(group, std::move(*accepted));
        } else if (accepted.error().code == Errc::unavailable) {
            co_await service.clock.sleep_for(kAcceptPause);
        } else if (!service.is_stopping) {
            outcome = forward_error(accepted);
            group.cancel();
            co_return;
        }
    }
    group.spawn(ending, std::ref(*this), std::ref(group));
}

void Server::State::admit(io::TaskGroup& group, std::unique_ptr<io::Stream> stream) {
    static constexpr auto serve = [](State& state, std::unique_ptr<io::Stream> connection) {
        return state.serve_one(std::move(connection));
    };
    static constexpr auto refuse = [](State& state, std::unique_ptr<io::Stream> connection) {
        return state.refuse_one(std::move(connection));
    };
    if (serving < service.limits.connections_max) {
        group.spawn(serve, std::ref(*this), std::move(stream));
        return;
    }
    ++service.stats.refused;
    if (refusing < service.limits.refusals_max)
        group.spawn(refuse, std::ref(*this), std::move(stream));
}

io::Task<void> Server::State::serve_one(std::unique_ptr<io::Stream> stream) {
    {
        const Counted counted(serving);
        Connection connection(service, std::move(stream));
        co_await connection.run();
    }
    changed.notify_all();
}

io::Task<void> Server::State::refuse_one(std::unique_ptr<io::Stream> stream) {
    {
        const Counted counted(refusing);
        Connection connection(service, std::move(stream));
        co_await connection.refuse();
    }
    changed.notify_all();
}

// Waits for the last connection, but no longer than the grace.
io::Task<void> Server::State::end_grace(io::TaskGroup& group) {
    while (serving + refusing > 0) {
        const io::Duration left = *grace_end - service.clock.now();
        if (left <= io::Duration::zero()) break;
        (void)co_await io::with_timeout(service.clock, left, changed.wait());  // either: look again
    }
    group.cancel();
}

io::Task<void> Server::serve_connection(std::unique_ptr<io::Stream> stream) {
    return state_->serve_one(std::move(stream));
}

void Server::stop(io::Duration grace) {
    State& state = *state_;
    const io::TimePoint end = state.service.clock.now() + grace;
    if (!state.grace_end || end < *state.grace_end) state.grace_end = end;
    state.service.is_stopping = true;
    if (state.listener != nullptr) state.listener->close();
    for (Connection* connection : state.service.connections)
        connection->wake();
    state.changed.notify_all();
}

ServerStats Server::stats() const {
    ServerStats stats = state_->service.stats;
    stats.connections = state_->serving;
    return stats;
}

}  // namespace kwaai::http
