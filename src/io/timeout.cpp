#include "io/timeout.hpp"

#include <cstdio>
#include <functional>

#include "io/task_group.hpp"

namespace kwaai::io {
namespace {

Task<void> contend(TaskGroup& group, bool& is_finished, Task<void> task) {
    co_await std::move(task);
    is_finished = true;
    group.cancel();
}

Task<void> cancel_after(TaskGroup& group, Clock& clock, Duration limit) {
    co_await clock.sleep_for(limit);
    group.cancel();
}

// Nothing starts in a cancelled group: a task that never waits costs no timer.
Task<void> race(
    TaskGroup& group, Clock& clock, Duration limit, bool& is_finished, Task<void> task) {
    group.spawn(contend, std::ref(group), std::ref(is_finished), std::move(task));
    group.spawn(cancel_after, std::ref(group), std::ref(clock), limit);
    co_return;
}

}  // namespace

Error timeout_error(Duration limit) {
    char text[64];
    std::snprintf(
        text, sizeof text, "no answer within %g s", std::chrono::duration<double>(limit).count());
    return Error{Errc::timed_out, text};
}

Task<bool> finishes_within(Clock& clock, Duration limit, Task<void> task) {
    bool is_finished = false;
    co_await with_group(race, std::ref(clock), limit, std::ref(is_finished), std::move(task));
    co_return is_finished;
}

}  // namespace kwaai::io
