#include "cli/exit_status.hpp"

#include "cli/terminal.hpp"

namespace kwaai::cli {

int exit_status(Errc code) {
    switch (code) {
        case Errc::invalid_argument: return kUsage;
        case Errc::cancelled: return kInterrupted;
        case Errc::closed: return kOk;
        case Errc::malformed:
        case Errc::unsupported:
        case Errc::not_found:
        case Errc::timed_out:
        case Errc::unavailable:
        case Errc::limit_exceeded:
        case Errc::wrong_peer:
        case Errc::io: return kFailure;
    }
    return kFailure;
}

int report(const Error& error) {
    if (error.code != Errc::closed && error.code != Errc::cancelled)
        write_note("kwaai: " + error.context + "\n");
    return exit_status(error.code);
}

}  // namespace kwaai::cli
