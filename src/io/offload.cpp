#include "io/offload.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <boost/asio/execution/context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/check.hpp"
#include "io/asio_mailbox.hpp"

namespace kwaai::io {
namespace asio = boost::asio;

struct WorkerThreads::State {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::move_only_function<void()>> waiting;  // guarded by mutex, as is_stopping
    std::size_t waiting_max = 0;
    bool is_stopping = false;
    std::vector<std::thread> threads;

    void work() {
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [this] { return is_stopping || !waiting.empty(); });
            if (waiting.empty()) return;
            std::move_only_function<void()> next = std::move(waiting.front());
            waiting.pop_front();
            lock.unlock();
            next();
            next = nullptr;
            lock.lock();
        }
    }
};

WorkerThreads::WorkerThreads(unsigned threads, std::size_t waiting_max)
    : state_(std::make_unique<State>()) {
    KWAAI_CHECK(threads > 0, "WorkerThreads needs a thread");
    state_->waiting_max = waiting_max;
    for (unsigned i = 0; i < threads; ++i)
        state_->threads.emplace_back([state = state_.get()] { state->work(); });
}

WorkerThreads::~WorkerThreads() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->is_stopping = true;
    }
    state_->changed.notify_all();
    for (std::thread& thread : state_->threads)
        thread.join();
}

bool WorkerThreads::submit(std::move_only_function<void()> work) {
    {
        const std::lock_guard lock(state_->mutex);
        if (state_->waiting.size() >= state_->waiting_max) return false;
        state_->waiting.push_back(std::move(work));
    }
    state_->changed.notify_one();
    return true;
}

namespace {

// Shared by the waiting coroutine and the work. `timer` and `is_done` belong to the loop's thread;
// `error` is written before the post that makes is_done true.
struct Offloaded {
    explicit Offloaded(const LoopExecutor& executor)
        : timer(executor, asio::steady_timer::time_point::max()) {}

    asio::steady_timer timer;
    std::exception_ptr error;
    std::atomic<bool> is_unwanted{false};
    bool is_done = false;
};

}  // namespace

Task<bool> run_elsewhere(WorkQueue& queue, FunctionRef<void()> work) {
    const LoopExecutor executor = co_await asio::this_coro::executor;
    const auto shared = std::make_shared<Offloaded>(executor);
    Mailbox& home = asio::use_service<Mailbox>(asio::query(executor, asio::execution::context));
    const bool is_accepted = queue.submit([shared, &home, work] {
        try {
            if (!shared->is_unwanted) work();
        } catch (...) {
            shared->error = std::current_exception();
        }
        home.post([shared] {
            shared->is_done = true;
            shared->timer.cancel();
        });
    });
    if (!is_accepted) co_return false;

    const bool was_throwing = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    bool is_cancelled = false;
    while (!shared->is_done) {
        boost::system::error_code aborted;  // always: done or cancelled
        auto token = asio::redirect_error(asio::use_awaitable, aborted);
        co_await shared->timer.async_wait(token);
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        is_cancelled = cancellation.cancelled() != asio::cancellation_type::none;
        if (is_cancelled) shared->is_unwanted = true;
    }
    co_await asio::this_coro::throw_if_cancelled(was_throwing);
    if (shared->error) std::rethrow_exception(shared->error);
    if (is_cancelled) throw_cancelled();
    co_return true;
}

}  // namespace kwaai::io
