#include "io/event.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>

#include "base/check.hpp"

namespace kwaai::io {
namespace asio = boost::asio;

// In the frame of its wait(). A timer that never fires is the cheapest thing Asio can cancel.
struct Event::Waiter {
    Waiter(std::list<Waiter*>& all, const LoopExecutor& executor)
        : list(all), timer(executor, asio::steady_timer::time_point::max()) {
        place = list.insert(list.end(), this);
    }

    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    ~Waiter() {
        if (!is_notified) list.erase(place);
    }

    std::list<Waiter*>& list;
    std::list<Waiter*>::iterator place;
    asio::steady_timer timer;
    bool is_notified = false;
};

Event::~Event() {
    KWAAI_CHECK(waiters_.empty(), "an Event is destroyed while coroutines wait for it");
}

Task<void> Event::wait() {
    const LoopExecutor executor = co_await asio::this_coro::executor;
    Waiter waiter(waiters_, executor);
    boost::system::error_code aborted;  // always: notified or cancelled
    auto token = asio::redirect_error(asio::use_awaitable, aborted);
    co_await waiter.timer.async_wait(token);
    if (!waiter.is_notified) throw_cancelled();
}

void Event::notify_all() {
    while (!waiters_.empty()) {
        Waiter& waiter = *waiters_.front();
        waiters_.pop_front();
        waiter.is_notified = true;
        waiter.timer.cancel();
    }
}

}  // namespace kwaai::io
