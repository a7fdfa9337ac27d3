#include "base/result.hpp"

namespace kwaai {

std::string_view to_string(Errc code) {
    switch (code) {
        case Errc::invalid_argument: return "invalid argument";
        case Errc::malformed: return "malformed";
        case Errc::unsupported: return "unsupported";
        case Errc::not_found: return "not found";
        case Errc::timed_out: return "timed out";
        case Errc::unavailable: return "unavailable";
        case Errc::cancelled: return "cancelled";
        case Errc::closed: return "closed";
        case Errc::limit_exceeded: return "limit exceeded";
        case Errc::wrong_peer: return "another peer";
        case Errc::io: return "input/output error";
    }
    return "unknown error";
}

}  // namespace kwaai
