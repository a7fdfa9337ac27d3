#include "io/timeout.hpp"

#include <cstdio>
#include <functional>
#include <memory>

#include <boost/asio/this_coro.hpp>

#include "io/task_group.hpp"

namespace kwaai::io {
namespace {

Task<void> finish(bool& is_finished, Task<void> task) {
    co_await std::move(task);
    is_finished = true;
}

Task<void> nothing() {
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
    const LoopExecutor executor = co_await boost::asio::this_coro::executor;
    TaskGroup group(executor);
    bool is_finished = false;
    group.spawn(finish, std::ref(is_finished), std::move(task));
    // A task that never waits costs no timer.
    std::unique_ptr<Alarm> alarm;
    if (!is_finished) alarm = clock.call_after(limit, [&group] { group.cancel(); });
    Task<void> body = nothing();
    co_await group.run(std::move(body));
    co_return is_finished;
}

}  // namespace kwaai::io
