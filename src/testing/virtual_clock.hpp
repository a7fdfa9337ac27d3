// Time that only moves when a test moves it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "io/clock.hpp"
#include "io/event.hpp"

namespace kwaai::testing {

/// Starts at an hour and stands still. Sleepers wake and calls happen one at a time, in the order
/// of (deadline, start of the sleep): the same on every run, machine and compiler.
class VirtualClock final : public io::Clock {
public:
    [[nodiscard]] io::TimePoint now() const override { return now_; }

    io::Task<void> sleep_until(io::TimePoint deadline) override;

    std::unique_ptr<io::Alarm> call_at(io::TimePoint deadline,
                                       std::move_only_function<void()> fn) override;

    /// Calls `fn` at `deadline`, or at the next step where that has passed, whatever happens
    /// meanwhile. Calls that the end of a simulation leaves behind never happen.
    void certainly_call_at(io::TimePoint deadline, std::move_only_function<void()> fn);

    /// Jumps to the earliest deadline and wakes its sleeper or makes its call; false, and nothing,
    /// where there is none up to `limit`.
    bool wake_next(io::TimePoint limit = io::TimePoint::max());
    /// Moves to `time`, which is not before any deadline.
    void advance_to(io::TimePoint time);

    [[nodiscard]] std::size_t sleeper_count() const { return sleepers_.size(); }

private:
    using Key = std::pair<io::TimePoint, std::uint64_t>;
    class VirtualAlarm;

    [[nodiscard]] io::TimePoint earliest() const;
    Key schedule(io::TimePoint deadline, std::move_only_function<void()> fn);

    io::TimePoint now_{std::chrono::hours(1)};
    std::uint64_t sequence_ = 0;
    std::map<Key, io::Event*> sleepers_;  // each in the frame of its sleep_until()
    std::map<Key, std::move_only_function<void()>> calls_;
};

}  // namespace kwaai::testing
