#include <csignal>

#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "io/signals.hpp"

namespace kwaai::io {
namespace asio = boost::asio;

struct Signals::State {
    explicit State(Loop& loop) : set(loop.context(), SIGINT, SIGTERM) {}

    asio::signal_set set;
};

Signals::Signals(Loop& loop) : state_(std::make_unique<State>(loop)) {}

Signals::~Signals() = default;

Task<int> Signals::next() {
    boost::system::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    const int number = co_await state_->set.async_wait(token);
    if (error) throw_cancelled();
    co_return number;
}

}  // namespace kwaai::io
