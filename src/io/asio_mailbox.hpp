// How other threads call functions on the loop's.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>

namespace kwaai::io {

/// A service of the loop's context. asio::post() from another thread wakes the loop while it holds
/// the scheduler's lock, for which the loop then waits: a second sleep, 50 us and more on a virtual
/// machine. Here the lock is released before the bell rings.
class Mailbox final : public boost::asio::execution_context::service {
public:
    using key_type = Mailbox;  // Asio's name: what use_service looks for

    explicit Mailbox(boost::asio::execution_context& context);
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;
    ~Mailbox() override;

    /// Calls `fn` on the loop's thread, soon, in the order of a thread's posts. From any thread.
    void post(std::move_only_function<void()> fn);

    static boost::asio::execution_context::id id;  // NOLINT: Asio's name; it compares addresses

private:
    struct Bell;

    void shutdown() override;
    void wait();
    void deliver();

    boost::asio::io_context& context_;
    std::unique_ptr<Bell> bell_;  // the loop's thread reads, others ring
    std::mutex mutex_;
    std::vector<std::move_only_function<void()>> waiting_;  // guarded by mutex_, as is_rung_
    bool is_rung_ = false;
};

}  // namespace kwaai::io
