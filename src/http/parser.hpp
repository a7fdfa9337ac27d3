// Bytes to requests and responses, over Boost.Beast's parser. Pure: no streams, no time.
#pragma once
#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "http/message.hpp"

namespace kwaai::http {

/// Why a request is not served, as the client is told.
struct Rejection {
    int status;
    std::string reason;  // a sentence
};

struct ParserLimits {
    std::size_t header_bytes_max;
    std::size_t body_bytes_max;
};

/// Reads one request. Strict where laxness lets requests be smuggled past a proxy (RFC 9112 section
/// 11.2): a request with both Content-Length and Transfer-Encoding, with conflicting lengths, or
/// with a coding other than `chunked` is rejected. Trailer fields are dropped.
class RequestParser {
public:
    explicit RequestParser(const ParserLimits& limits);
    RequestParser(const RequestParser&) = delete;
    RequestParser& operator=(const RequestParser&) = delete;
    ~RequestParser();

    /// Takes bytes from the front of `bytes` and returns how many; those left over are to be given
    /// again with what follows, after is_done() to the next parser. Takes nothing only when it
    /// needs to see more at once. Not to be called again after a rejection.
    std::expected<std::size_t, Rejection> put(Bytes bytes);

    [[nodiscard]] bool is_header_done() const;
    [[nodiscard]] bool is_done() const;
    /// Whether the client waits for "100 Continue" before it sends the body.
    [[nodiscard]] bool expects_continue() const;
    /// Bytes of the body that are here.
    [[nodiscard]] std::size_t body_bytes() const;

    /// The request, moved out; call when is_done().
    [[nodiscard]] Request take();

private:
    struct State;
    std::unique_ptr<State> state_;
    ParserLimits limits_;
};

/// Given pieces of a response's body; false ends the reading.
using BodySink = std::function<bool(std::string_view)>;

/// Reads one response.
class ResponseParser {
public:
    /// `is_bodiless` for the response to HEAD. With a `sink`, the body goes there and has no limit.
    ResponseParser(const ParserLimits& limits, bool is_bodiless, BodySink sink);
    ResponseParser(const ResponseParser&) = delete;
    ResponseParser& operator=(const ResponseParser&) = delete;
    ~ResponseParser();

    /// As RequestParser::put. `Errc::malformed`, `limit_exceeded`.
    Result<std::size_t> put(Bytes bytes);
    /// Nothing will follow. `Errc::closed` where the response is not complete.
    Result<> put_end();

    /// Also once the sink has said that it wants no more.
    [[nodiscard]] bool is_done() const;
    [[nodiscard]] Response take();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::http
