// The coroutine type of everything that waits.
#pragma once
#include <boost/asio/awaitable.hpp>

namespace kwaai::io {

/// A lazy coroutine: runs when awaited, on the executor of whoever awaits it. Expected failures are
/// a `Result` inside T. The one exception that crosses a Task is cancellation, which unwinds the
/// coroutine; only TaskGroup and with_timeout catch it. Own it (await it, or give it to a
/// TaskGroup): there is no detached Task.
template <class T = void>
using Task = boost::asio::awaitable<T>;

/// Where coroutines run; every Task of a Loop runs on that loop's thread.
using LoopExecutor = boost::asio::any_io_executor;

/// Throws what unwinds a cancelled coroutine.
[[noreturn]] void throw_cancelled();

/// Whether the exception in flight (inside a catch block) is a cancellation.
[[nodiscard]] bool is_cancellation_in_flight();

/// Lets everything that is ready run first.
Task<void> yield();

}  // namespace kwaai::io
