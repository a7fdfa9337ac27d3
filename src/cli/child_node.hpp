// A node in a process of its own: `kwaai serve` as a child of this one.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.hpp"

namespace kwaai::cli {

/// The process dies with its owner, and when this program dies, however that comes about. Signals
/// of the terminal do not reach it.
class ChildNode {
public:
    /// Runs this program again as `kwaai serve ARGUMENTS…`. What it says goes to `log`, a file that
    /// is made anew. Must be called on a thread that lives as long as the child: the system takes
    /// that one's end for the parent's. `Errc::io` says what the system refused.
    static Result<std::unique_ptr<ChildNode>> start(const std::vector<std::string>& arguments,
                                                    const std::string& log);

    ChildNode(const ChildNode&) = delete;
    ChildNode& operator=(const ChildNode&) = delete;
    ~ChildNode();

    /// The next line of its stdout. `Errc::unavailable` with what it said where it has ended,
    /// `timed_out` after `limit`.
    Result<std::string> read_line(std::chrono::milliseconds limit);

    /// At once, without a goodbye (SIGKILL). From any thread.
    void kill() const;

    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    ChildNode(pid_t pid, int out, std::string log) : pid_(pid), out_(out), log_(std::move(log)) {}

    pid_t pid_;
    int out_;
    std::string log_;
    std::string unread_;  // of stdout
};

}  // namespace kwaai::cli
