// Ctrl-C: the first one stops what is under way, the next one ends the program.
#pragma once
#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

namespace kwaai::cli {

/// Takes SIGINT, SIGTERM and SIGHUP away from all threads (make it before any other thread) and
/// waits for them on a thread of its own, so that the reactions may lock and allocate. Ignores
/// SIGPIPE: writers see EPIPE. At most one lives at a time.
class Interrupts {
public:
    Interrupts();
    Interrupts(const Interrupts&) = delete;
    Interrupts& operator=(const Interrupts&) = delete;
    ~Interrupts();

    /// While it lives, the first signal calls `stop` (on the watching thread) instead of ending the
    /// program. `stop` must be quick and is never called after the scope has ended.
    class Scope {
    public:
        Scope(Interrupts& interrupts, std::function<void()> stop);
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;
        ~Scope();

    private:
        Interrupts& interrupts_;
    };

private:
    void watch();
    void on_signal(int number);

    std::mutex mutex_;
    std::function<void()> stop_;  // guarded by mutex_
    std::atomic<bool> is_ending_ = false;
    std::thread watcher_;
};

}  // namespace kwaai::cli
