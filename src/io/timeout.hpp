// A bound in time on anything that waits.
#pragma once
#include <optional>
#include <utility>

#include "base/result.hpp"
#include "io/clock.hpp"
#include "io/task.hpp"

namespace kwaai::io {

/// Runs `task` for at most `limit`: true when it ended by itself, false when it was cancelled for
/// the lack of time. Either way it has ended on return. Its exceptions come out.
Task<bool> finishes_within(Clock& clock, Duration limit, Task<void> task);

/// "no answer within 2.5 s", as `Errc::timed_out`.
[[nodiscard]] Error timeout_error(Duration limit);

namespace detail {

template <class T>
Task<void> store_result(Task<T> task, std::optional<T>& into) {
    T value = co_await std::move(task);
    into.emplace(std::move(value));
}

}  // namespace detail

/// The result of `task`, or `Errc::timed_out` when it takes longer than `limit`; the loser of that
/// race is cancelled and has ended on return. A task that completes although it was cancelled keeps
/// its result. Cancellation of the caller cancels both and unwinds.
template <class T>
Task<Result<T>> with_timeout(Clock& clock, Duration limit, Task<Result<T>> task) {
    std::optional<Result<T>> result;
    Task<void> storing = detail::store_result(std::move(task), result);
    co_await finishes_within(clock, limit, std::move(storing));
    if (result) co_return std::move(*result);
    co_return std::unexpected<Error>(timeout_error(limit));
}

inline Task<Result<void>> with_timeout(Clock& clock, Duration limit, Task<void> task) {
    const bool is_finished = co_await finishes_within(clock, limit, std::move(task));
    if (is_finished) co_return Result<void>();
    co_return std::unexpected<Error>(timeout_error(limit));
}

}  // namespace kwaai::io
