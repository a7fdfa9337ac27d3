#include "io/task_group.hpp"

#include <exception>
#include <list>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/check.hpp"

namespace kwaai::io {
namespace asio = boost::asio;

namespace {

// The child's whole life, and how it ended: as a value, since to throw once more is what would cost
// most where many are cancelled. Asio posts the completion of a coroutine that never suspended, and
// that wait would throw into the void if the coroutine had been cancelled: hence the last
// statement.
Task<std::exception_ptr> run_child(Task<void> child) {
    std::exception_ptr error;
    try {
        co_await std::move(child);
    } catch (...) {
        error = std::current_exception();
    }
    co_await asio::this_coro::throw_if_cancelled(false);
    co_return error;
}

}  // namespace

struct TaskGroup::State {
    explicit State(LoopExecutor where)
        : executor(std::move(where)), idle(executor, asio::steady_timer::time_point::max()) {}

    LoopExecutor executor;
    asio::steady_timer idle;  // cancelled when the last child ends
    std::list<asio::cancellation_signal> children;
    std::exception_ptr first_error;
    bool is_cancelled = false;
};

TaskGroup::TaskGroup(LoopExecutor executor)
    : state_(std::make_unique<State>(std::move(executor))) {}

TaskGroup::~TaskGroup() {
    KWAAI_CHECK(state_->children.empty(), "a TaskGroup is destroyed before it was joined");
}

void TaskGroup::start(Task<void> child) {
    if (state_->is_cancelled) return;
    const auto place = state_->children.emplace(state_->children.end());
    auto done = [this, place](const std::exception_ptr& thrown, std::exception_ptr error) {
        state_->children.erase(place);
        if (thrown) error = thrown;
        if (error && !state_->is_cancelled && !state_->first_error) {
            state_->first_error = error;
            cancel();
        }
        if (state_->children.empty()) state_->idle.cancel();
    };
    asio::co_spawn(state_->executor,
                   run_child(std::move(child)),
                   asio::bind_cancellation_slot(place->slot(), std::move(done)));
}

void TaskGroup::cancel() {
    state_->is_cancelled = true;
    for (auto it = state_->children.begin(); it != state_->children.end();)
        (it++)->emit(asio::cancellation_type::terminal);
}

bool TaskGroup::is_cancelled() const {
    return state_->is_cancelled;
}

std::size_t TaskGroup::size() const {
    return state_->children.size();
}

// Called with throw_if_cancelled off: the wait goes on after the caller has been cancelled.
Task<void> TaskGroup::join() {
    bool is_caller_cancelled = false;
    for (;;) {
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        if (cancellation.cancelled() != asio::cancellation_type::none && !is_caller_cancelled) {
            is_caller_cancelled = true;
            cancel();
        }
        if (state_->children.empty()) break;
        boost::system::error_code aborted;  // always: the last child ended, or we are cancelled
        auto token = asio::redirect_error(asio::use_awaitable, aborted);
        co_await state_->idle.async_wait(token);
    }
    if (state_->first_error) std::rethrow_exception(std::exchange(state_->first_error, nullptr));
    if (is_caller_cancelled) throw_cancelled();
}

Task<void> TaskGroup::run(Task<void> body) {
    std::exception_ptr error;
    try {
        co_await std::move(body);
    } catch (...) {
        error = std::current_exception();
    }
    if (error) cancel();
    const bool was_throwing = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    try {
        co_await join();
    } catch (...) {
        if (!error) error = std::current_exception();
    }
    co_await asio::this_coro::throw_if_cancelled(was_throwing);
    if (error) std::rethrow_exception(error);
}

}  // namespace kwaai::io
