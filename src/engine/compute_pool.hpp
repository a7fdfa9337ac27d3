// The threads that compute. One pool a process; loops are handed to it one at a time.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "base/executor.hpp"

namespace kwaai::engine {

/// An executor over threads: the caller works too, the others spin briefly for the next loop and
/// then sleep. A thread that comes late to a loop is not waited for: the others take its share.
class ComputePool final : public Executor {
public:
    /// @param threads workers including the caller of `run`, at least 1
    explicit ComputePool(unsigned threads);
    ~ComputePool() override;

    [[nodiscard]] unsigned worker_count() const override { return worker_count_; }

    /// Safe from several threads: their loops follow one another.
    void run(std::size_t count,
             FunctionRef<void(std::size_t index, unsigned worker)> body) override;

private:
    struct Loop {
        FunctionRef<void(std::size_t, unsigned)>* body = nullptr;
        std::size_t count = 0;
    };

    void work(unsigned worker);
    void take_indices(unsigned worker);
    [[nodiscard]] bool enter();

    unsigned worker_count_;
    std::mutex one_caller_;
    Loop loop_;
    // Bit 0: a loop is open; above it, twice the number of workers inside. A worker enters only
    // while it is open, and the fields of `loop_` change only when it is closed and nobody is
    // inside.
    alignas(64) std::atomic<std::uint32_t> state_{0};
    alignas(64) std::atomic<std::size_t> next_{0};
    alignas(64) std::atomic<std::uint32_t> epoch_{0};  // counts loops; what sleepers wait on
    std::atomic<bool> is_stopping_{false};
    std::vector<std::thread> threads_;
};

}  // namespace kwaai::engine
