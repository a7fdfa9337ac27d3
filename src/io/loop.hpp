// The io thread: runs coroutines, sockets and timers, one at a time.
#pragma once
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "io/clock.hpp"
#include "io/task.hpp"
#include "io/timeout.hpp"

namespace boost::asio {
class io_context;
}

namespace kwaai::io {

/// An event loop that runs on the thread that calls run(). Everything that it runs is confined to
/// that thread and needs no lock; `post` is the only entry for other threads. It must outlive all
/// that uses it.
class Loop {
public:
    Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    ~Loop();

    /// Runs `task` and all that it starts on the calling thread, until it has ended; gives its
    /// value, or throws what it threw. Waits for posts of other threads as long as it takes.
    template <class T>
    T run(Task<T> task) {
        if constexpr (std::is_void_v<T>) {
            run_to_end(std::move(task));
        } else {
            std::optional<T> result;
            run_to_end(detail::store_result(std::move(task), result));
            return std::move(*result);
        }
    }

    /// Starts `task`, up to its first suspension, and calls `done` when it has ended, with its
    /// exception if any. For outermost scopes only (tests); the rest belongs to a TaskGroup.
    void start(Task<void> task, std::move_only_function<void(std::exception_ptr)> done);

    /// Runs what is ready, and what that makes ready, without waiting; returns how many steps that
    /// took.
    std::size_t poll();

    /// Calls `fn` on the loop's thread, soon, in the order of the posts. From any thread. `fn` must
    /// not throw.
    void post(std::move_only_function<void()> fn);

    /// The machine's monotonic clock.
    [[nodiscard]] Clock& clock();
    [[nodiscard]] LoopExecutor executor();
    /// For the asio_*.cpp files of this room.
    [[nodiscard]] boost::asio::io_context& context();

private:
    struct State;
    void run_to_end(Task<void> task);

    std::unique_ptr<State> state_;
};

}  // namespace kwaai::io
