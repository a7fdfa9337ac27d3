#include "io/asio_mailbox.hpp"

#include <cerrno>
#include <cstdint>
#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.hpp"

namespace kwaai::io {
namespace asio = boost::asio;

struct Mailbox::Bell {
    explicit Bell(asio::io_context& context)
        : descriptor(context, ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

    void ring() {
        const std::uint64_t once = 1;
        // Only a count near 2^64 would not take it.
        KWAAI_CHECK(::write(descriptor.native_handle(), &once, sizeof once) == sizeof once,
                    "an event descriptor can be written");
    }

    void silence() {
        std::uint64_t count = 0;
        const auto bytes = ::read(descriptor.native_handle(), &count, sizeof count);
        KWAAI_CHECK(bytes == sizeof count || errno == EAGAIN, "an event descriptor can be read");
    }

    asio::posix::stream_descriptor descriptor;
};

asio::execution_context::id Mailbox::id;

Mailbox::Mailbox(asio::execution_context& context)
    : asio::execution_context::service(context),
      context_(static_cast<asio::io_context&>(context)),
      bell_(std::make_unique<Bell>(context_)) {
    wait();
}

Mailbox::~Mailbox() = default;

void Mailbox::shutdown() {
    bell_.reset();
    const std::scoped_lock lock(mutex_);
    waiting_.clear();
}

void Mailbox::post(std::move_only_function<void()> fn) {
    if (context_.get_executor().running_in_this_thread())
        return asio::post(context_, std::move(fn));
    bool must_ring = false;
    {
        const std::scoped_lock lock(mutex_);
        waiting_.push_back(std::move(fn));
        must_ring = !std::exchange(is_rung_, true);
    }
    if (must_ring) bell_->ring();
}

void Mailbox::wait() {
    bell_->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                 [this](const boost::system::error_code& error) {
                                     if (error) return;
                                     deliver();
                                     wait();
                                 });
}

void Mailbox::deliver() {
    bell_->silence();
    std::vector<std::move_only_function<void()>> taken;
    {
        const std::scoped_lock lock(mutex_);
        taken.swap(waiting_);
        is_rung_ = false;
    }
    for (std::move_only_function<void()>& fn : taken)
        fn();
}

}  // namespace kwaai::io
