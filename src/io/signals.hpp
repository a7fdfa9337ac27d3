// Ctrl-C and termination as something to await.
#pragma once
#include <memory>

#include "io/loop.hpp"

namespace kwaai::io {

/// While it lives, SIGINT and SIGTERM do not end the process but wake next(). One per process.
class Signals {
public:
    explicit Signals(Loop& loop);
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;
    ~Signals();

    /// The number of the next signal. Cancellation unwinds it.
    Task<int> next();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::io
