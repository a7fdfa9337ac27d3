// Time as a dependency: the same code runs on the machine's clock and on a test's virtual one.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "io/task.hpp"

namespace kwaai::io {

/// Monotonic; its epoch means nothing.
using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

/// A call that a clock makes later, unless this is destroyed before; inside the call, too.
class Alarm {
public:
    Alarm() = default;
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;
    virtual ~Alarm() = default;
};

/// Says what time it is, wakes coroutines and makes calls. Implementations: `Loop::clock()`, and
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
    /// Calls `fn`, which must not throw, once at `deadline` or soon after, from the loop. For
    /// bounds that are seldom reached: to take one back costs no coroutine and no exception. The
    /// clock outlives the alarm.
    [[nodiscard]] virtual std::unique_ptr<Alarm> call_at(TimePoint deadline,
                                                         std::move_only_function<void()> fn) = 0;

    /// Amounts beyond the end of time mean the end of time.
    Task<void> sleep_for(Duration amount) { return sleep_until(after(amount)); }

    [[nodiscard]] std::unique_ptr<Alarm> call_after(Duration amount,
                                                    std::move_only_function<void()> fn) {
        return call_at(after(amount), std::move(fn));
    }

private:
    [[nodiscard]] TimePoint after(Duration amount) const {
        const TimePoint begin = now();
        const bool is_endless = amount > TimePoint::max() - begin;
        return is_endless ? TimePoint::max() : begin + amount;
    }
};

}  // namespace kwaai::io
