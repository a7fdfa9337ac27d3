// The only scope in which coroutines run beside each other.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include <boost/asio/this_coro.hpp>

#include "io/task.hpp"

namespace kwaai::io {

/// Owns coroutines: nothing spawned here outlives run(). Made by with_group(); confined to the
/// loop's thread. What bounds the number of children is up to the caller (`size()`).
class TaskGroup {
public:
    explicit TaskGroup(LoopExecutor executor);
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;
    /// Aborts the program where children still run: a group is joined before it dies.
    ~TaskGroup();

    /// Starts `fn(args...)`, which returns Task<void>, at once, up to its first suspension. Both
    /// are kept in the child's frame; pass std::ref for what the caller keeps alive past the join.
    /// In a group that has been cancelled nothing is started.
    template <class Fn, class... Args>
    void spawn(Fn fn, Args... args) {
        start(call(std::move(fn), std::move(args)...));
    }

    /// Asks all children to end: they unwind at their present or next suspension. Later spawns
    /// start nothing.
    void cancel();

    [[nodiscard]] bool is_cancelled() const;
    /// Children that have not ended.
    [[nodiscard]] std::size_t size() const;

    /// What with_group() is made of: awaits `body`, then waits for all children. Where `body`
    /// throws or the caller is cancelled, the children are cancelled, awaited, and the exception
    /// goes on. An exception of a child that is not its cancellation (a bug, a failed test) cancels
    /// the others and comes out when `body` has ended.
    Task<void> run(Task<void> body);

private:
    struct State;

    template <class Fn, class... Args>
    static Task<void> call(Fn fn, Args... args) {
        co_await std::invoke(fn, std::move(args)...);
    }

    void start(Task<void> child);
    Task<void> join();

    std::unique_ptr<State> state_;
};

/// Runs `fn(group, args...)`, which returns Task<void>, and returns when it and all that it spawned
/// have ended. Owns, cancels, joins, and forwards its caller's cancellation. Pass std::ref for
/// what the caller owns.
template <class Fn, class... Args>
Task<void> with_group(Fn fn, Args... args) {
    const LoopExecutor executor = co_await boost::asio::this_coro::executor;
    TaskGroup group(executor);
    Task<void> body = std::invoke(fn, group, std::move(args)...);
    co_await group.run(std::move(body));
}

}  // namespace kwaai::io
