#include "http/client.hpp"

#include <array>
#include <optional>
#include <utility>

#include "http/parser.hpp"
#include "io/timeout.hpp"

namespace kwaai::http {
namespace {

std::string head_of(const ClientRequest& request) {
    std::string head = request.method + " " + request.path + " HTTP/1.1\r\nHost: " + request.host +
                       "\r\nConnection: close\r\n";
    for (const Header& field : request.headers)
        head += field.name + ": " + field.value + "\r\n";
    if (!request.body.empty())
        head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
    return head + "\r\n";
}

// Interim answers (100 Continue) are read and dropped; more of them than this is no answer.
constexpr int kInterimMax = 8;

}  // namespace

io::Task<Result<Response>> fetch(io::Clock& clock,
                                 io::Stream& stream,
                                 ClientRequest request,
                                 ClientLimits limits,
                                 std::function<bool(std::string_view)> on_body) {
    const std::string head = head_of(request);
    const std::array<Bytes, 2> parts = {as_bytes(head), as_bytes(request.body)};
    const std::span<const Bytes> sent(parts);
    const Result<> written = co_await io::with_timeout(clock, limits.timeout, stream.write(sent));
    // A server that refuses a request may have closed its side before reading all of it: its answer
    // is worth more than our error.
    const ParserLimits parser_limits{.header_bytes_max = limits.header_bytes_max,
                                     .body_bytes_max = limits.body_bytes_max};
    std::string input;
    std::array<std::byte, 4096> chunk;
    for (int interim = 0; interim < kInterimMax; ++interim) {
        ResponseParser parser(parser_limits, request.method == "HEAD", on_body);
        while (!parser.is_done()) {
            if (!input.empty()) {
                KWAAI_CO_TRY(const std::size_t taken, parser.put(as_bytes(input)));
                input.erase(0, taken);
                if (taken > 0) continue;
            }
            if (input.size() > limits.header_bytes_max + chunk.size())
                co_return fail(Errc::limit_exceeded, "the answer's framing is too large");
            const MutableBytes into(chunk);
            Result<std::size_t> count =
                co_await io::with_timeout(clock, limits.timeout, stream.read_some(into));
            if (!count && !written) co_return std::unexpected<Error>(written.error());
            if (!count) co_return forward_error(count);
            if (*count == 0) {
                KWAAI_CO_CHECKED(parser.put_end());
                break;
            }
            input += as_text(into.first(*count));
        }
        Response response = parser.take();
        if (response.status >= 200) co_return response;
    }
    co_return fail(Errc::malformed, "the server sends interim answers without end");
}

io::Task<Result<Response>> fetch(io::Clock& clock, io::Stream& stream, ClientRequest request) {
    return fetch(clock, stream, std::move(request), ClientLimits(), nullptr);
}

}  // namespace kwaai::http
