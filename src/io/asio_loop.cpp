#include <memory>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "io/asio_mailbox.hpp"
#include "io/loop.hpp"

namespace kwaai::io {
namespace asio = boost::asio;

namespace {

class MachineAlarm final : public Alarm {
public:
    MachineAlarm(asio::io_context& context, TimePoint deadline, std::move_only_function<void()> fn)
        : timer_(context, deadline), call_(std::make_shared<Call>(std::move(fn))) {
        timer_.async_wait([call = call_](const boost::system::error_code& error) {
            if (!error && call->is_wanted) call->fn();
        });
    }

    // The wait may have ended already, and only its call be due.
    ~MachineAlarm() override { call_->is_wanted = false; }

private:
    struct Call {
        std::move_only_function<void()> fn;
        bool is_wanted = true;
    };

    asio::steady_timer timer_;
    std::shared_ptr<Call> call_;
};

class MachineClock final : public Clock {
public:
    explicit MachineClock(asio::io_context& context) : context_(context) {}

    [[nodiscard]] TimePoint now() const override { return std::chrono::steady_clock::now(); }

    Task<void> sleep_until(TimePoint deadline) override {
        const LoopExecutor executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor, deadline);
        boost::system::error_code error;
        auto token = asio::redirect_error(asio::use_awaitable, error);
        co_await timer.async_wait(token);
        if (error) throw_cancelled();
    }

    std::unique_ptr<Alarm> call_at(TimePoint deadline,
                                   std::move_only_function<void()> fn) override {
        return std::make_unique<MachineAlarm>(context_, deadline, std::move(fn));
    }

private:
    asio::io_context& context_;
};

}  // namespace

struct Loop::State {
    // One thread runs it: Asio then spares itself some locking between its own threads.
    asio::io_context context{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard{context.get_executor()};
    Mailbox& mailbox{asio::use_service<Mailbox>(context)};
    MachineClock clock{context};
};

Loop::Loop() : state_(std::make_unique<State>()) {}

Loop::~Loop() = default;

void Loop::start(Task<void> task, std::move_only_function<void(std::exception_ptr)> done) {
    asio::co_spawn(state_->context, std::move(task), std::move(done));
}

void Loop::run_to_end(Task<void> task) {
    bool is_done = false;
    std::exception_ptr error;
    start(std::move(task), [&](std::exception_ptr thrown) {
        error = std::move(thrown);
        is_done = true;
    });
    while (!is_done)
        state_->context.run_one();
    if (error) std::rethrow_exception(error);
}

std::size_t Loop::poll() {
    std::size_t steps = 0;
    while (const std::size_t ran = state_->context.poll())
        steps += ran;
    return steps;
}

void Loop::post(std::move_only_function<void()> fn) {
    state_->mailbox.post(std::move(fn));
}

Clock& Loop::clock() {
    return state_->clock;
}

LoopExecutor Loop::executor() {
    return state_->context.get_executor();
}

asio::io_context& Loop::context() {
    return state_->context;
}

}  // namespace kwaai::io
