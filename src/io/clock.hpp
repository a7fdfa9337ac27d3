// Time as a dependency: the same code runs on the machine's clock and on a test's virtual one.
#pragma once
#include <chrono>

#include "io/task.hpp"

namespace kwaai::io {

/// Monotonic; its epoch means nothing.
using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

/// Says what time it is and wakes coroutines. Implementations: `Loop::clock()`, and
/// `testing::VirtualClock`. Confined to the loop's thread.
class Clock {
public:
    Clock() = default;
    Clock(const Clock&) = delete;
    Clock& operator=(const Clock&) = delete;
    virtual ~Clock() = default;

    [[nodiscard]] virtual TimePoint now() const = 0;
    /// Returns at `deadline` or soon after, always by way of the loop, even where it has passed.
    /// Cancellation unwinds it.
    virtual Task<void> sleep_until(TimePoint deadline) = 0;

    /// Amounts beyond the end of time mean the end of time.
    Task<void> sleep_for(Duration amount) {
        const TimePoint begin = now();
        const bool is_endless = amount > TimePoint::max() - begin;
        return sleep_until(is_endless ? TimePoint::max() : begin + amount);
    }
};

}  // namespace kwaai::io
