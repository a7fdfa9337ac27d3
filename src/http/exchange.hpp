// One request and its answer: what a handler sees.
#pragma once
#include <string_view>

#include "base/result.hpp"
#include "http/message.hpp"
#include "io/task.hpp"

namespace kwaai::http {

/// Where a handler writes its answer: either respond() once, or start_stream(), write_chunk() as
/// often as there is something, and finish(). Every call waits until the system has taken the
/// bytes, so that a slow client slows its handler and nothing piles up.
///
/// Errors: `Errc::closed` when the client is gone, `timed_out` when it takes no bytes for
/// `Limits::write_timeout`; nothing more can be sent then and the handler returns.
/// `invalid_argument` for a header that would break the format (a line end in it), and for calls
/// out of order; nothing has been sent by that call.
///
/// Where the request was HEAD, bodies are counted but not sent. Header fields that the server sets
/// itself (Content-Length, Transfer-Encoding, Connection, Content-Type) are not to be passed.
class Exchange {
public:
    Exchange() = default;
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;
    virtual ~Exchange() = default;

    /// The whole answer. `content_type` may be empty where there is no body.
    virtual io::Task<Result<>> respond(int status,
                                       std::string_view content_type,
                                       std::string_view body,
                                       const Headers& headers) = 0;
    io::Task<Result<>> respond(int status, std::string_view content_type, std::string_view body);

    /// Sends the head of an answer of unknown length: chunked in HTTP/1.1, until the end of the
    /// connection in HTTP/1.0.
    virtual io::Task<Result<>> start_stream(int status,
                                            std::string_view content_type,
                                            const Headers& headers) = 0;
    io::Task<Result<>> start_stream(int status, std::string_view content_type);

    /// Sends `text` at once. Empty text sends nothing.
    virtual io::Task<Result<>> write_chunk(std::string_view text) = 0;
    /// Ends a stream. Without it the client sees that its answer broke off.
    virtual io::Task<Result<>> finish() = 0;

    /// Whether the head has been sent: afterwards a failure can no longer become a status.
    [[nodiscard]] virtual bool is_started() const = 0;
    /// Whether the client has gone. A handler that waits is cancelled then; one that must not be
    /// interrupted asks here.
    [[nodiscard]] virtual bool is_closed() const = 0;
};

/// What a server does with requests. One object serves all connections, on the loop's thread.
class Handler {
public:
    Handler() = default;
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;
    virtual ~Handler() = default;

    /// Answers one request through `exchange`; both live until it has ended. Cancelled (unwound at
    /// its suspension) as soon as the client closes its side before respond() or finish() was
    /// called, when the server stops and the grace is over, and never otherwise. Where it returns
    /// without an answer the client gets status 500.
    virtual io::Task<void> handle(const Request& request, Exchange& exchange) = 0;
};

}  // namespace kwaai::http
