// Where the io thread meets other threads: work that blocks or computes runs elsewhere, its caller
// goes on here.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/function_ref.hpp"
#include "base/result.hpp"
#include "io/task.hpp"

namespace kwaai::io {

/// Runs pieces of work, somewhere. Implementations: WorkerThreads, and InlineWork for simulations.
class WorkQueue {
public:
    WorkQueue() = default;
    WorkQueue(const WorkQueue&) = delete;
    WorkQueue& operator=(const WorkQueue&) = delete;
    virtual ~WorkQueue() = default;

    /// Takes `work`, to be called once, on any thread; it does not throw. False, and never called,
    /// where the queue is full. Thread-safe.
    [[nodiscard]] virtual bool submit(std::move_only_function<void()> work) = 0;
};

/// Calls the work inside submit(): deterministic.
class InlineWork final : public WorkQueue {
public:
    [[nodiscard]] bool submit(std::move_only_function<void()> work) override {
        work();
        return true;
    }
};

/// Threads of its own, first come, first served. For work that blocks; kernels have the compute
/// pool of `engine`.
class WorkerThreads final : public WorkQueue {
public:
    /// `waiting_max` pieces wait beside the `threads` that run.
    explicit WorkerThreads(unsigned threads, std::size_t waiting_max = 1024);
    /// Runs what was accepted, then joins.
    ~WorkerThreads() override;

    [[nodiscard]] bool submit(std::move_only_function<void()> work) override;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Runs `work` on `queue` and returns, on the caller's loop, when it has ended; its exception comes
/// out. False where the queue is full. Work cannot be interrupted: a caller that is cancelled waits
/// for the end of work that has begun, so that it may refer to the caller's frame; work that has
/// not begun is skipped.
Task<bool> run_elsewhere(WorkQueue& queue, FunctionRef<void()> work);

namespace detail {

template <class T>
struct AsResult {
    using type = Result<T>;
};

template <class T>
struct AsResult<Result<T>> {
    using type = Result<T>;
};

}  // namespace detail

/// The value of `fn()`, called on `queue`; where it is itself a Result, that. Cancellation as
/// run_elsewhere. `Errc::unavailable` where the queue is full.
template <class Fn>
Task<typename detail::AsResult<std::invoke_result_t<Fn&>>::type> offload(WorkQueue& queue, Fn fn) {
    using Value = typename detail::AsResult<std::invoke_result_t<Fn&>>::type;
    std::optional<Value> result;
    auto work = [&fn, &result] {
        if constexpr (std::is_void_v<std::invoke_result_t<Fn&>>) {
            fn();
            result.emplace();
        } else {
            result.emplace(fn());
        }
    };
    const FunctionRef<void()> reference(work);
    const bool is_accepted = co_await run_elsewhere(queue, reference);
    if (!is_accepted)
        co_return fail(Errc::unavailable, "too much work is waiting; try again later");
    co_return std::move(*result);
}

}  // namespace kwaai::io
