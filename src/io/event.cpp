#include "io/event.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>

#include "base/check.hpp"

namespace kwaai::io {
namespace asio = boost::asio;

// In the frame of its wait(), which is all that waiting takes. A timer that never fires is the
// cheapest thing Asio can cancel.
struct Event::Waiter {
    Waiter(Event& awaited, const LoopExecutor& executor)
        : event(awaited),
          before(awaited.last_),
          timer(executor, asio::steady_timer::time_point::max()) {
        (before != nullptr ? before->behind : event.first_) = this;
        event.last_ = this;
    }

    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    ~Waiter() {
        if (!is_notified) event.remove(*this);
    }

    Event& event;
    Waiter* before;
    Waiter* behind = nullptr;
    asio::steady_timer timer;
    bool is_notified = false;
};

Event::~Event() {
    KWAAI_CHECK(!has_waiters(), "an Event is destroyed while coroutines wait for it");
}

Task<void> Event::wait() {
    const LoopExecutor executor = co_await asio::this_coro::executor;
    Waiter waiter(*this, executor);
    boost::system::error_code aborted;  // always: notified or cancelled
    auto token = asio::redirect_error(asio::use_awaitable, aborted);
    co_await waiter.timer.async_wait(token);
    if (!waiter.is_notified) throw_cancelled();
}

void Event::remove(Waiter& waiter) {
    (waiter.before != nullptr ? waiter.before->behind : first_) = waiter.behind;
    (waiter.behind != nullptr ? waiter.behind->before : last_) = waiter.before;
}

void Event::notify_all() {
    while (has_waiters()) {
        Waiter& waiter = *first_;
        remove(waiter);
        waiter.is_notified = true;
        waiter.timer.cancel();
    }
}

}  // namespace kwaai::io
