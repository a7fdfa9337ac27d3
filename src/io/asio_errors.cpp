#include "io/asio_errors.hpp"

#include <cctype>

#include <boost/asio/error.hpp>

namespace kwaai::io {
namespace {

namespace errc = boost::system::errc;

Errc classify(const boost::system::error_code& code) {
    namespace error = boost::asio::error;
    if (code == error::eof || code == error::connection_reset || code == error::broken_pipe ||
        code == error::operation_aborted || code == error::bad_descriptor ||
        code == error::not_connected || code == error::shut_down)
        return Errc::closed;
    if (code == error::timed_out) return Errc::timed_out;
    if (code == errc::address_not_available || code == error::address_family_not_supported)
        return Errc::invalid_argument;
    if (code == error::address_in_use || code == error::access_denied ||
        code == error::connection_refused || code == error::connection_aborted ||
        code == error::host_unreachable || code == error::network_unreachable ||
        code == error::network_down || code == error::no_descriptors ||
        code == error::no_buffer_space || code == error::no_memory ||
        code == errc::too_many_files_open_in_system)
        return Errc::unavailable;
    return Errc::io;
}

}  // namespace

Error to_error(const boost::system::error_code& code, std::string doing) {
    std::string what = code.message();
    if (!what.empty())
        what[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(what[0])));
    return Error{classify(code), std::move(doing) + ": " + what};
}

}  // namespace kwaai::io
