#include "cli/interrupts.hpp"

#include <csignal>
#include <cstdlib>
#include <optional>

#include <pthread.h>
#include <termios.h>
#include <unistd.h>

#include "base/check.hpp"
#include "cli/terminal.hpp"

namespace kwaai::cli {
namespace {

sigset_t watched_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1})
        sigaddset(&set, number);
    return set;
}

/// The terminal as we found it: line editing changes it, and a program that ends must not leave it
/// without echo.
std::optional<termios> terminal_now() {
    termios state;
    if (::tcgetattr(STDIN_FILENO, &state) != 0) return std::nullopt;
    return state;
}

const std::optional<termios>& terminal_at_start() {
    static const std::optional<termios> state = terminal_now();
    return state;
}

}  // namespace

Interrupts::Interrupts() {
    static_cast<void>(terminal_at_start());
    const sigset_t set = watched_signals();
    KWAAI_CHECK(::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0, "signals can be blocked");
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
    watcher_ = std::thread([this] { watch(); });
}

Interrupts::~Interrupts() {
    is_ending_ = true;
    ::pthread_kill(watcher_.native_handle(), SIGUSR1);
    watcher_.join();
}

void Interrupts::watch() {
    const sigset_t set = watched_signals();
    while (!is_ending_) {
        int number = 0;
        if (::sigwait(&set, &number) == 0 && number != SIGUSR1) on_signal(number);
    }
}

void Interrupts::on_signal(int number) {
    const std::scoped_lock lock(mutex_);
    if (stop_) {
        const std::function<void()> stop = std::exchange(stop_, nullptr);
        stop();
        return;
    }
    // No destructors: the main thread may be anywhere, in the middle of a batch or of reading a
    // line.
    if (terminal_at_start()) ::tcsetattr(STDIN_FILENO, TCSANOW, &*terminal_at_start());
    if (stderr_is_terminal()) write_note("\n");
    std::_Exit(128 + number);
}

Interrupts::Scope::Scope(Interrupts& interrupts, std::function<void()> stop)
    : interrupts_(interrupts) {
    const std::scoped_lock lock(interrupts_.mutex_);
    interrupts_.stop_ = std::move(stop);
}

Interrupts::Scope::~Scope() {
    const std::scoped_lock lock(interrupts_.mutex_);
    interrupts_.stop_ = nullptr;
}

}  // namespace kwaai::cli
