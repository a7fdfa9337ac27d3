// Runs coroutines on virtual time: hours pass in milliseconds, and a stuck task is an error.
#pragma once
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "io/loop.hpp"
#include "testing/virtual_clock.hpp"

namespace kwaai::testing {

/// A loop of its own with a virtual clock. Aborts the test with a reason where a task waits for
/// what can never happen, or leaves a sleeper behind.
class Simulation {
public:
    [[nodiscard]] io::Loop& loop() { return loop_; }

    [[nodiscard]] VirtualClock& clock() { return clock_; }

    /// Runs `task` to its end, jumping from deadline to deadline; gives its value or throws its
    /// exception (a failed REQUIRE, for example).
    template <class T>
    T run(io::Task<T> task) {
        if constexpr (std::is_void_v<T>) {
            run_to_end(std::move(task));
        } else {
            std::optional<T> result;
            run_to_end(io::detail::store_result(std::move(task), result));
            return std::move(*result);
        }
    }

private:
    void run_to_end(io::Task<void> task);

    VirtualClock clock_;
    io::Loop loop_;  // dies first, with the frames that refer to the clock
};

/// Runs `fn(simulation)`, a coroutine, in a fresh simulation. `fn` should capture nothing.
template <class Fn>
auto run_task(Fn fn) {
    Simulation simulation;
    return simulation.run(fn(simulation));
}

/// Lets everything that is ready run, `rounds` times over, without moving the clock.
io::Task<void> let_others_run(int rounds = 20);

}  // namespace kwaai::testing
