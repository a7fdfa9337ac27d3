// A small HTTP client: one request, one answer, one connection.
#pragma once
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "http/message.hpp"
#include "io/clock.hpp"
#include "io/stream.hpp"

namespace kwaai::http {

struct ClientLimits {
    std::size_t header_bytes_max = 16 * 1024;
    std::size_t body_bytes_max = std::size_t{64} << 20;
    std::chrono::milliseconds timeout{30'000};  // without a byte from the server
};

/// What to ask for. `path` includes the query; `headers` need not name Host or Content-Length.
struct ClientRequest {
    std::string method = "GET";
    std::string host;
    std::string path = "/";
    Headers headers;
    std::string body;
};

/// Sends `request` on a fresh `stream` and reads the answer to its end; asks the server to close.
/// `on_body`, where set, is given the body as it comes, which then stays out of
/// `Response::body` and out of `body_bytes_max`; false from it ends the reading.
/// `Errc::malformed` for what is no HTTP, `limit_exceeded` beyond a limit, `timed_out`, `closed`
/// where the answer breaks off.
io::Task<Result<Response>> fetch(io::Clock& clock,
                                 io::Stream& stream,
                                 ClientRequest request,
                                 ClientLimits limits,
                                 std::function<bool(std::string_view)> on_body);
io::Task<Result<Response>> fetch(io::Clock& clock, io::Stream& stream, ClientRequest request);

}  // namespace kwaai::http
