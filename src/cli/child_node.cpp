#include "cli/child_node.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kwaai::cli {
namespace {

constexpr std::size_t kLineBytesMax = 4096;
constexpr const char* kThisProgram = "/proc/self/exe";

std::unexpected<Error> refused(std::string_view doing) {
    const int number = errno;
    return fail(Errc::io,
                "cannot " + std::string(doing) + ": " + std::generic_category().message(number));
}

struct Ends {
    int out = -1;  // where the child writes its stdout
    int log = -1;
};

/// In the child, between fork and exec: only what is safe beside other threads. Returns on failure.
void become(char* const* arguments, const Ends& ends, pid_t parent) {
    // posix_spawn could not ask for this: the child goes when its parent has gone.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) return;
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::setpgid(0, 0);
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || ::dup2(null, STDIN_FILENO) < 0 || ::dup2(ends.out, STDOUT_FILENO) < 0 ||
        ::dup2(ends.log, STDERR_FILENO) < 0)
        return;
    ::execv(kThisProgram, arguments);
}

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line.substr(0, kLineBytesMax);
}

}  // namespace

Result<std::unique_ptr<ChildNode>> ChildNode::start(const std::vector<std::string>& arguments,
                                                    const std::string& log) {
    std::vector<std::string> words = {"kwaai", "serve"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& word : words)
        pointers.push_back(word.data());
    pointers.push_back(nullptr);

    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return refused("make a pipe");
    const auto [read_end, write_end] = pipe;
    const int log_file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const pid_t parent = ::getpid();
    const pid_t pid = log_file < 0 ? -1 : ::fork();
    if (pid == 0) {
        become(pointers.data(), {.out = write_end, .log = log_file}, parent);
        ::_exit(127);
    }
    auto failure = refused("start another node");
    ::close(write_end);
    if (log_file >= 0) ::close(log_file);
    if (pid > 0) return std::unique_ptr<ChildNode>(new ChildNode(pid, read_end, log));
    ::close(read_end);
    return failure;
}

ChildNode::~ChildNode() {
    kill();
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    ::close(out_);
}

Result<std::string> ChildNode::read_line(std::chrono::milliseconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    for (;;) {
        if (const std::size_t end = unread_.find('\n'); end != std::string::npos) {
            std::string line = unread_.substr(0, end);
            unread_.erase(0, end + 1);
            return line;
        }
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        pollfd wanted{.fd = out_, .events = POLLIN, .revents = 0};
        const int ready =
            left.count() <= 0 ? 0 : ::poll(&wanted, 1, static_cast<int>(left.count()));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return fail(Errc::timed_out, "the node says nothing");
        std::array<char, 512> buffer;
        const ssize_t count = ::read(out_, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0 || unread_.size() > kLineBytesMax)
            return fail(Errc::unavailable, "a node ended: " + first_line(log_));
        unread_.append(buffer.data(), static_cast<std::size_t>(count));
    }
}

void ChildNode::kill() const {
    ::kill(pid_, SIGKILL);
}

}  // namespace kwaai::cli
