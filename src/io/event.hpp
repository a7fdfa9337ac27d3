// How one coroutine tells others that something has changed.
#pragma once
#include "io/task.hpp"

namespace kwaai::io {

/// A condition variable for the coroutines of one loop. It remembers nothing: check the state,
/// wait, check again. The check and the wait are one step, since nothing else runs between them.
///
///     while (queue.empty()) co_await changed.wait();
///
/// Other threads reach it through `Loop::post`. It must outlive its waiters.
class Event {
public:
    Event() = default;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event();

    /// Returns after the next notify_all(). Cancellation unwinds it.
    Task<void> wait();
    /// Wakes all who wait now; they run after the caller has suspended, in the order of their wait.
    void notify_all();

    [[nodiscard]] bool has_waiters() const { return first_ != nullptr; }

private:
    struct Waiter;
    void remove(Waiter& waiter);

    Waiter* first_ = nullptr;  // has waited for longest
    Waiter* last_ = nullptr;
};

}  // namespace kwaai::io
