#include "io/task.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace kwaai::io {
namespace asio = boost::asio;

void throw_cancelled() {
    throw boost::system::system_error(asio::error::operation_aborted);
}

bool is_cancellation_in_flight() {
    try {
        throw;
    } catch (const boost::system::system_error& error) {
        return error.code() == asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

Task<void> yield() {
    const LoopExecutor executor = co_await asio::this_coro::executor;
    co_await asio::post(executor, asio::use_awaitable);
}

}  // namespace kwaai::io
