// What the program writes where: results on stdout, everything else on stderr; escape codes only on
// terminals.
#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace kwaai::cli {

[[nodiscard]] bool stdin_is_terminal();
[[nodiscard]] bool stdout_is_terminal();
/// Whether what is written to both ends up in one place: a terminal, a file, a pipe.
[[nodiscard]] bool stdout_meets_stderr();
/// Whether stderr is a terminal that understands cursor movement (TERM is set and not "dumb").
[[nodiscard]] bool stderr_is_terminal();

/// Whether stderr may be coloured: a terminal, and NO_COLOR unset or empty (no-color.org).
[[nodiscard]] bool stderr_has_colour();
/// `text` in faint or bold letters where stderr_has_colour(), else as it is.
[[nodiscard]] std::string faint(std::string_view text);
[[nodiscard]] std::string bold(std::string_view text);

/// Writes all of `text` to stdout, unbuffered. `Errc::closed` when the reader has gone, `io`
/// otherwise (a full disk). SIGPIPE must be ignored.
Result<void> write_out(std::string_view text);
/// Whether write_out() has failed with `closed`: tells that apart from a peer that closed.
[[nodiscard]] bool reader_is_gone();

/// Writes to stderr; what cannot be written is lost.
void write_note(std::string_view text);

/// All of stdin. `limit_exceeded` beyond `bytes_max`.
Result<std::string> read_stdin(std::size_t bytes_max);

/// `text` without control characters that could command the terminal: all but newline and tab
/// become U+FFFD, so that neither a model nor a file can move the cursor or write the clipboard.
[[nodiscard]] std::string printable(std::string_view text);

/// A line on stderr that is rewritten in place, at most ten times a second; nothing where stderr is
/// not a terminal. `update` may be called from any thread.
class ProgressLine {
public:
    explicit ProgressLine(std::string label);
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;
    ~ProgressLine();

    void update(std::uint64_t done, std::uint64_t total);
    /// Erases the line; nothing is drawn any more. The destructor does the same.
    void end();

private:
    std::string label_;
    bool is_shown_;
    std::mutex mutex_;
    std::chrono::steady_clock::time_point drawn_at_;
};

}  // namespace kwaai::cli
