// Groups and timeouts: every coroutine has an owner, which cancels and awaits it.
#include "io/task_group.hpp"

#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "io/event.hpp"
#include "io/timeout.hpp"
#include "testing/simulation.hpp"

using namespace kwaai;
using namespace std::chrono_literals;
using io::Task;
using io::TaskGroup;
using testing::Simulation;

namespace {

using Log = std::vector<std::string>;

// Says in `log` how it ended.
Task<void> sleep_and_log(io::Clock& clock, io::Duration amount, std::string name, Log& log) {
    struct Unwound {
        Log& log;
        std::string name;
        bool is_finished = false;

        ~Unwound() { log.push_back(name + (is_finished ? " finished" : " cancelled")); }
    };

    Unwound note{log, std::move(name)};
    co_await clock.sleep_for(amount);
    note.is_finished = true;
}

Task<void> throw_after(io::Clock& clock, io::Duration amount) {
    co_await clock.sleep_for(amount);
    throw std::runtime_error("a bug");
}

Task<Result<int>> answer_after(io::Clock& clock, io::Duration amount, int value) {
    co_await clock.sleep_for(amount);
    co_return value;
}

Task<void> spawn_two(TaskGroup& group, io::Clock& clock, Log& log) {
    group.spawn(sleep_and_log, std::ref(clock), 2s, "slow", std::ref(log));
    group.spawn(sleep_and_log, std::ref(clock), 1s, "fast", std::ref(log));
    log.push_back("body ended");
    co_return;
}

Task<void> spawn_then_throw(TaskGroup& group, io::Clock& clock, Log& log) {
    group.spawn(sleep_and_log, std::ref(clock), 2s, "child", std::ref(log));
    co_await clock.sleep_for(1s);
    throw std::runtime_error("the body");
}

Task<void> spawn_a_bug(TaskGroup& group, io::Clock& clock, Log& log) {
    group.spawn(sleep_and_log, std::ref(clock), 9s, "sibling", std::ref(log));
    group.spawn(throw_after, std::ref(clock), 1s);
    co_return;
}

Task<void> cancel_at(TaskGroup& group, io::Clock& clock, io::Duration amount) {
    co_await clock.sleep_for(amount);
    group.cancel();
}

Task<void> nest(Simulation& simulation, Log& log) {
    co_await io::with_group(spawn_two, std::ref(simulation.clock()), std::ref(log));
    log.push_back("not reached when cancelled");
}

Task<void> cancel_nested(TaskGroup& group, Simulation& simulation, Log& log) {
    group.spawn(nest, std::ref(simulation), std::ref(log));
    co_await cancel_at(group, simulation.clock(), 500ms);
    group.spawn(sleep_and_log, std::ref(simulation.clock()), 1s, "too late", std::ref(log));
}

Task<void> cancel_itself_at_once(TaskGroup& group) {
    group.cancel();
    co_return;
}

Task<void> spawn_self_canceller(TaskGroup& group) {
    group.spawn(cancel_itself_at_once, std::ref(group));
    co_return;
}

}  // namespace

TEST_CASE("a group ends when its body and all its children have ended") {
    Log log;
    Simulation simulation;
    simulation.run(io::with_group(spawn_two, std::ref(simulation.clock()), std::ref(log)));
    CHECK(log == Log{"body ended", "fast finished", "slow finished"});
}

TEST_CASE("a body that throws cancels its children, and the exception comes out after their end") {
    Log log;
    Simulation simulation;
    Task<void> task = io::with_group(spawn_then_throw, std::ref(simulation.clock()), std::ref(log));
    CHECK_THROWS_WITH_AS(simulation.run(std::move(task)), "the body", std::runtime_error);
    CHECK(log == Log{"child cancelled"});
}

TEST_CASE("a child that throws cancels its siblings, and its exception comes out of the group") {
    Log log;
    Simulation simulation;
    Task<void> task = io::with_group(spawn_a_bug, std::ref(simulation.clock()), std::ref(log));
    CHECK_THROWS_WITH_AS(simulation.run(std::move(task)), "a bug", std::runtime_error);
    CHECK(log == Log{"sibling cancelled"});
    CHECK(simulation.clock().sleeper_count() == 0);
}

TEST_CASE("cancelling a group reaches the children of its children, and starts nothing more") {
    Log log;
    Simulation simulation;
    simulation.run(io::with_group(cancel_nested, std::ref(simulation), std::ref(log)));
    CHECK(log.size() == 3);
    CHECK(log.front() == "body ended");
    for (std::size_t i = 1; i < log.size(); ++i)
        CHECK(log[i].ends_with(" cancelled"));
    CHECK(simulation.clock().now().time_since_epoch() == 1h + 500ms);
}

TEST_CASE("a child that cancels its group before it has ever waited ends like any other") {
    Simulation simulation;
    simulation.run(io::with_group(spawn_self_canceller));
}

TEST_CASE("with_timeout gives the value of a task that is in time") {
    Simulation simulation;
    io::Clock& clock = simulation.clock();
    const Result<int> value =
        simulation.run(io::with_timeout(clock, 2s, answer_after(clock, 1s, 42)));
    REQUIRE(value.has_value());
    CHECK(*value == 42);
    CHECK(clock.now().time_since_epoch() == 1h + 1s);
}

TEST_CASE("with_timeout cancels a task that is late, waits for its end, and says how long it had") {
    Log log;
    Simulation simulation;
    io::Clock& clock = simulation.clock();
    const Result<> ended =
        simulation.run(io::with_timeout(clock, 1500ms, sleep_and_log(clock, 2s, "late", log)));
    REQUIRE(!ended.has_value());
    CHECK(ended.error().code == Errc::timed_out);
    CHECK(ended.error().context == "no answer within 1.5 s");
    CHECK(log == Log{"late cancelled"});
}

TEST_CASE("with_timeout passes the cancellation of its caller on and unwinds") {
    static constexpr auto wait = [](io::Clock& clock, Log& log) -> Task<void> {
        Task<void> sleep = sleep_and_log(clock, 5s, "sleep", log);
        (void)co_await io::with_timeout(clock, 9s, std::move(sleep));
        log.push_back("not reached");
    };
    static constexpr auto body = [](TaskGroup& group, io::Clock& clock, Log& log) -> Task<void> {
        group.spawn(wait, std::ref(clock), std::ref(log));
        co_await cancel_at(group, clock, 1s);
    };
    Log log;
    Simulation simulation;
    simulation.run(io::with_group(body, std::ref(simulation.clock()), std::ref(log)));
    CHECK(log == Log{"sleep cancelled"});
}

TEST_CASE("an exception inside with_timeout comes out") {
    Simulation simulation;
    io::Clock& clock = simulation.clock();
    CHECK_THROWS_WITH_AS((void)simulation.run(io::with_timeout(clock, 2s, throw_after(clock, 1s))),
                         "a bug",
                         std::runtime_error);
}

TEST_CASE(
    "sleepers wake in the order of their deadlines, and equal deadlines in that of their start") {
    static constexpr auto body = [](TaskGroup& group, io::Clock& clock, Log& log) -> Task<void> {
        for (const char* name : {"b1", "b2", "b3"})
            group.spawn(sleep_and_log, std::ref(clock), 2s, name, std::ref(log));
        group.spawn(sleep_and_log, std::ref(clock), 1s, "a", std::ref(log));
        group.spawn(sleep_and_log, std::ref(clock), -1s, "past", std::ref(log));
        co_return;
    };
    Log log;
    Simulation simulation;
    simulation.run(io::with_group(body, std::ref(simulation.clock()), std::ref(log)));
    CHECK(log == Log{"past finished", "a finished", "b1 finished", "b2 finished", "b3 finished"});
}

TEST_CASE("an event wakes all who wait, once, and forgets") {
    static constexpr auto waiter = [](io::Event& event, int& woken) -> Task<void> {
        co_await event.wait();
        ++woken;
        co_await event.wait();
        ++woken;
    };
    static constexpr auto body = [](TaskGroup& group, io::Event& event, int& woken) -> Task<void> {
        event.notify_all();  // nobody waits: nothing is remembered
        for (int i = 0; i < 3; ++i)
            group.spawn(waiter, std::ref(event), std::ref(woken));
        co_await testing::let_others_run();
        CHECK(woken == 0);
        event.notify_all();
        co_await testing::let_others_run();
        CHECK(woken == 3);
        group.cancel();
    };
    io::Event event;
    int woken = 0;
    Simulation simulation;
    simulation.run(io::with_group(body, std::ref(event), std::ref(woken)));
    CHECK(woken == 3);
    CHECK(!event.has_waiters());
}
