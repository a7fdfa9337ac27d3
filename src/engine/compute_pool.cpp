#include "engine/compute_pool.hpp"

#include <algorithm>
#include <chrono>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kwaai::engine {
namespace {

// Long enough to bridge the serial work between two loops of a block, short enough not to heat an
// idle machine.
constexpr std::chrono::microseconds kSpin{50};

void pause() {
#if defined(__x86_64__)
    _mm_pause();
#else
    std::this_thread::yield();
#endif
}

// Spins until `done` or until kSpin has passed; says whether it is done.
template <class Done>
bool spin_until(Done done) {
    const auto end = std::chrono::steady_clock::now() + kSpin;
    for (;;) {
        for (int i = 0; i < 64; ++i) {
            if (done()) return true;
            pause();
        }
        if (std::chrono::steady_clock::now() >= end) return done();
    }
}

}  // namespace

ComputePool::ComputePool(unsigned threads) : worker_count_(std::max(threads, 1U)) {
    for (unsigned worker = 1; worker < worker_count_; ++worker)
        threads_.emplace_back([this, worker] { work(worker); });
}

ComputePool::~ComputePool() {
    is_stopping_ = true;
    ++epoch_;
    epoch_.notify_all();
    for (std::thread& thread : threads_)
        thread.join();
}

void ComputePool::run(std::size_t count, FunctionRef<void(std::size_t, unsigned)> body) {
    const std::scoped_lock lock(one_caller_);
    if (count <= 1 || threads_.empty()) {
        for (std::size_t index = 0; index < count; ++index)
            body(index, 0);
        return;
    }
    loop_ = {&body, count};
    next_.store(0, std::memory_order_relaxed);
    state_.store(1, std::memory_order_release);
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
    take_indices(0);
    // Closed: nobody enters any more; wait for those inside.
    std::uint32_t state = state_.fetch_and(~1U, std::memory_order_acq_rel) & ~1U;
    while (state != 0) {
        if (spin_until([&] { return (state = state_.load(std::memory_order_acquire)) == 0; }))
            break;
        state_.wait(state, std::memory_order_acquire);
        state = state_.load(std::memory_order_acquire);
    }
}

void ComputePool::take_indices(unsigned worker) {
    for (;;) {
        const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
        if (index >= loop_.count) return;
        (*loop_.body)(index, worker);
    }
}

bool ComputePool::enter() {
    std::uint32_t state = state_.load(std::memory_order_relaxed);
    while ((state & 1) != 0)
        if (state_.compare_exchange_weak(
                state, state + 2, std::memory_order_acquire, std::memory_order_relaxed))
            return true;
    return false;
}

void ComputePool::work(unsigned worker) {
    std::uint32_t seen = 0;
    for (;;) {
        if (!spin_until([&] { return epoch_.load(std::memory_order_acquire) != seen; }))
            epoch_.wait(seen, std::memory_order_acquire);
        seen = epoch_.load(std::memory_order_acquire);
        if (is_stopping_) return;
        if (!enter()) continue;
        take_indices(worker);
        // The last one out of a closed loop wakes the caller.
        if (state_.fetch_sub(2, std::memory_order_acq_rel) == 2) state_.notify_all();
    }
}

}  // namespace kwaai::engine
