// How the portable core hands out work: a loop whose iterations may run at the same time.
#pragma once
#include <cstddef>

#include "base/function_ref.hpp"

namespace kwaai {

/// Runs the iterations of a loop on one or more workers. Implementations: `SerialExecutor` here,
/// the compute pool of `engine`. Results never depend on how many workers there are.
class Executor {
public:
    Executor() = default;
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;
    virtual ~Executor() = default;

    /// Workers that may run at the same time, at least 1: the number of scratch areas a loop needs.
    [[nodiscard]] virtual unsigned worker_count() const = 0;
    /// Calls `body(index, worker)` once for each index in [0, count), worker < worker_count();
    /// returns when all are done. Not reentrant: `body` must not call `run`. One caller at a time.
    virtual void run(std::size_t count,
                     FunctionRef<void(std::size_t index, unsigned worker)> body) = 0;
};

/// Everything on the calling thread, in order.
class SerialExecutor final : public Executor {
public:
    [[nodiscard]] unsigned worker_count() const override { return 1; }

    void run(std::size_t count, FunctionRef<void(std::size_t, unsigned)> body) override {
        for (std::size_t index = 0; index < count; ++index)
            body(index, 0);
    }
};

}  // namespace kwaai
