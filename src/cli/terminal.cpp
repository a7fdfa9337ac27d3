#include "cli/terminal.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.hpp"

namespace kwaai::cli {
namespace {

std::string_view environment(const char* name) {
    // Nothing here sets a variable.
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
    return value == nullptr ? std::string_view() : std::string_view(value);
}

std::atomic<bool> is_reader_gone = false;

/// Writes everything or returns the errno that stopped it.
int write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(descriptor, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return 0;
}

std::string styled(std::string_view code, std::string_view text) {
    if (!stderr_has_colour()) return std::string(text);
    return fmt::format("\033[{}m{}\033[0m", code, text);
}

}  // namespace

bool stdin_is_terminal() {
    return ::isatty(STDIN_FILENO) != 0;
}

bool stdout_is_terminal() {
    return ::isatty(STDOUT_FILENO) != 0;
}

bool stdout_meets_stderr() {
    struct stat out{};
    struct stat err{};
    return ::fstat(STDOUT_FILENO, &out) == 0 && ::fstat(STDERR_FILENO, &err) == 0 &&
           out.st_dev == err.st_dev && out.st_ino == err.st_ino;
}

bool stderr_is_terminal() {
    const std::string_view term = environment("TERM");
    return ::isatty(STDERR_FILENO) != 0 && !term.empty() && term != "dumb";
}

bool stderr_has_colour() {
    return stderr_is_terminal() && environment("NO_COLOR").empty();
}

std::string faint(std::string_view text) {
    return styled("2", text);
}

std::string bold(std::string_view text) {
    return styled("1", text);
}

Result<void> write_out(std::string_view text) {
    const int error = write_all(STDOUT_FILENO, text);
    if (error == 0) return {};
    if (error == EPIPE) {
        is_reader_gone = true;
        return fail(Errc::closed, "stdout was closed by its reader");
    }
    return fail(Errc::io, "cannot write to stdout: " + std::generic_category().message(error));
}

bool reader_is_gone() {
    return is_reader_gone;
}

void write_note(std::string_view text) {
    static_cast<void>(write_all(STDERR_FILENO, text));
}

Result<std::string> read_stdin(std::size_t bytes_max) {
    std::string text;
    std::array<char, 65536> buffer;
    for (;;) {
        const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            return fail(Errc::io, "cannot read stdin: " + std::generic_category().message(errno));
        }
        if (count == 0) return text;
        text.append(buffer.data(), static_cast<std::size_t>(count));
        if (text.size() > bytes_max) {
            return fail(Errc::limit_exceeded,
                        fmt::format("stdin holds more than {} bytes; give less", bytes_max));
        }
    }
}

std::string printable(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    while (!text.empty()) {
        const Utf8Step step = decode_utf8(text);
        const bool is_control = step.code < 0x20 || (step.code >= 0x7f && step.code < 0xa0);
        const bool is_layout = step.code == '\n' || step.code == '\t';
        if (step.code == Utf8Step::kInvalid || (is_control && !is_layout)) {
            append_utf8(result, 0xFFFD);
        } else {
            result.append(text.substr(0, step.size));
        }
        text.remove_prefix(step.size);
    }
    return result;
}

ProgressLine::ProgressLine(std::string label)
    : label_(std::move(label)), is_shown_(stderr_is_terminal()) {}

ProgressLine::~ProgressLine() {
    end();
}

void ProgressLine::end() {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(is_shown_, false)) write_note("\r\033[K");
}

void ProgressLine::update(std::uint64_t done, std::uint64_t total) {
    const std::scoped_lock lock(mutex_);
    if (!is_shown_ || total == 0) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - drawn_at_ < std::chrono::milliseconds(100)) return;
    drawn_at_ = now;
    write_note(fmt::format("\r\033[K{} {:.0f} % of {:.0f} MB",
                           label_,
                           100.0 * static_cast<double>(done) / static_cast<double>(total),
                           static_cast<double>(total) / 1e6));
}

}  // namespace kwaai::cli
