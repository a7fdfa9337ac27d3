#include "http/connection.hpp"

#include <array>
#include <functional>
#include <utility>

#include "http/answer.hpp"
#include "io/timeout.hpp"

namespace kwaai::http {
namespace {

// Room beside the largest header, so that the parser, not the buffer, decides what is too large.
constexpr std::size_t kReadAheadBytes = 4096;

}  // namespace

Connection::Connection(Service& service, std::unique_ptr<io::Stream> stream)
    : service_(service), stream_(std::move(stream)) {
    place_ = service_.connections.insert(service_.connections.end(), this);
}

Connection::~Connection() {
    charge_body(0);
    service_.connections.erase(place_);
}

io::Task<void> Connection::run() {
    static constexpr auto serving = [](io::TaskGroup& group, Connection& self) {
        return self.serve(group);
    };
    co_await io::with_group(serving, std::ref(*this));
}

io::Task<void> Connection::refuse() {
    static constexpr auto refusing = [](io::TaskGroup& group, Connection& self) {
        return self.refuse_and_linger(group);
    };
    co_await io::with_group(refusing, std::ref(*this));
}

io::Task<void> Connection::read() {
    const std::size_t input_max = service_.limits.header_bytes_max + kReadAheadBytes;
    std::array<std::byte, kReadAheadBytes> chunk;
    for (;;) {
        while (input_.size() >= input_max)
            co_await changed_.wait();
        const std::size_t room = std::min(chunk.size(), input_max - input_.size());
        const MutableBytes into = MutableBytes(chunk).first(room);
        const Result<std::size_t> count = co_await stream_->read_some(into);
        if (!count || *count == 0) break;
        if (!is_discarding_) input_ += as_text(into.first(*count));
        changed_.notify_all();
    }
    is_ended_ = true;
    changed_.notify_all();
    cancel_handler_of_gone_client();
}

void Connection::start_reading(io::TaskGroup& group) {
    static constexpr auto reading = [](Connection& self) {
        return self.read();
    };
    group.spawn(reading, std::ref(*this));
}

io::Task<void> Connection::serve(io::TaskGroup& group) {
    start_reading(group);
    for (;;) {
        Incoming incoming = co_await next_request();
        if (incoming.rejection) {
            ++service_.stats.bad_requests;
            co_await reject(std::move(*incoming.rejection));
            break;
        }
        if (!incoming.request) break;
        const Request request = std::move(*incoming.request);
        const bool goes_on = co_await answer(request);
        charge_body(0);
        if (!goes_on) break;
    }
    stream_->close();
    group.cancel();  // the reader
}

io::Task<void> Connection::refuse_and_linger(io::TaskGroup& group) {
    is_discarding_ = true;
    start_reading(group);
    Rejection rejection{.status = 503,
                        .reason = "Too many connections are open; try again in a moment."};
    co_await reject(std::move(rejection));
    stream_->close();
    group.cancel();
}

io::Task<void> Connection::wait_for_input() {
    while (input_.empty() && !is_ended_ && !service_.is_stopping)
        co_await changed_.wait();
}

io::Task<Connection::Incoming> Connection::next_request() {
    const Limits& limits = service_.limits;
    const Result<> waited =
        co_await io::with_timeout(service_.clock, limits.idle_timeout, wait_for_input());
    if (!waited || input_.empty()) co_return Incoming();

    RequestParser parser(ParserLimits{.header_bytes_max = limits.header_bytes_max,
                                      .body_bytes_max = limits.body_bytes_max});
    std::optional<Rejection> why;
    const Result<> header = co_await io::with_timeout(
        service_.clock, limits.header_timeout, feed(parser, Part::header, why));
    if (!header) co_return unread(header.error(), std::move(why));
    if (parser.expects_continue() && !parser.is_done() && parser.body_bytes() == 0) {
        const Result<> told = co_await send_continue();
        if (!told) co_return Incoming();
    }
    const Result<> body = co_await io::with_timeout(
        service_.clock, limits.body_timeout, feed(parser, Part::body, why));
    if (!body) co_return unread(body.error(), std::move(why));

    Incoming incoming;
    incoming.request = parser.take();
    incoming.request->peer = stream_->peer();
    co_return incoming;
}

Connection::Incoming Connection::unread(const Error& error, std::optional<Rejection> why) {
    Incoming incoming;
    if (why) {
        incoming.rejection = std::move(why);
    } else if (error.code == Errc::timed_out) {
        incoming.rejection = Rejection{.status = 408, .reason = "The request came too slowly."};
    }
    return incoming;
}

io::Task<Result<>> Connection::feed(RequestParser& parser,
                                    Part part,
                                    std::optional<Rejection>& why) {
    const std::size_t input_max = service_.limits.header_bytes_max + kReadAheadBytes;
    for (;;) {
        if (parser.is_done() || (part == Part::header && parser.is_header_done()))
            co_return Result<>();
        std::size_t taken_bytes = 0;
        if (!input_.empty()) {
            const std::expected<std::size_t, Rejection> taken = parser.put(as_bytes(input_));
            if (!taken) {
                why = taken.error();
                co_return fail(Errc::malformed, why->reason);
            }
            taken_bytes = *taken;
            input_.erase(0, taken_bytes);
            changed_.notify_all();  // the reader may go on
        }
        charge_body(parser.body_bytes());
        if (service_.bodies_bytes > service_.limits.bodies_bytes_max) {
            why = Rejection{.status = 503, .reason = "Too much is being sent; try again later."};
            co_return fail(Errc::limit_exceeded, why->reason);
        }
        if (taken_bytes > 0) continue;
        if (input_.size() >= input_max) {  // a chunk's extensions or the trailer
            why = Rejection{.status = 431, .reason = "A part of the body's framing is too large."};
            co_return fail(Errc::limit_exceeded, why->reason);
        }
        if (is_ended_) co_return fail(Errc::closed, "the client has gone");
        co_await changed_.wait();
    }
}

void Connection::charge_body(std::size_t bytes) {
    service_.bodies_bytes = service_.bodies_bytes - body_bytes_ + bytes;
    body_bytes_ = bytes;
}

io::Task<Result<>> Connection::send_continue() {
    const Bytes line = as_bytes("HTTP/1.1 100 Continue\r\n\r\n");
    Result<> written = co_await write(std::span(&line, 1));
    co_return written;
}

io::Task<bool> Connection::answer(const Request& request) {
    static constexpr auto starting =
        [](io::TaskGroup& group, Connection& self, const Request& what, Answer& how) {
            return self.start_handler(group, what, how);
        };
    Answer answer(*this, request);
    ++service_.stats.requests;
    const Counted counted(service_.stats.exchanges);
    co_await io::with_group(starting, std::ref(*this), std::cref(request), std::ref(answer));
    if (!answer.is_complete()) co_return false;
    if (answer.keeps_alive()) co_return true;
    co_await linger();
    co_return false;
}

// The handler runs up to its first wait before anyone looks whether the client is still there: one
// that only half-closes its side still gets what takes no waiting.
io::Task<void> Connection::start_handler(io::TaskGroup& group,
                                         const Request& request,
                                         Answer& answer) {
    static constexpr auto calling =
        [](io::TaskGroup& own, Connection& self, const Request& what, Answer& how) {
            return self.call_handler(own, what, how);
        };
    handling_ = &group;
    answer_ = &answer;
    group.spawn(calling, std::ref(group), std::ref(*this), std::cref(request), std::ref(answer));
    if (is_ended_) cancel_handler_of_gone_client();
    co_return;
}

io::Task<void> Connection::call_handler(io::TaskGroup& group,
                                        const Request& request,
                                        Answer& answer) {
    struct Unlink {
        Connection& connection;

        ~Unlink() {
            connection.handling_ = nullptr;
            connection.answer_ = nullptr;
        }
    };

    const Unlink unlink{*this};
    try {
        co_await service_.handler.handle(request, answer);
    } catch (...) {
        // A handler's own exception costs this client its answer, and no other client anything.
        if (io::is_cancellation_in_flight() && group.is_cancelled()) throw;
    }
    if (answer.is_started()) co_return;
    const std::string_view apology = "The server failed to answer.\n";
    (void)co_await answer.respond(
        500, "text/plain; charset=utf-8", apology);  // or the client is gone
}

void Connection::cancel_handler_of_gone_client() {
    if (handling_ != nullptr && !answer_->is_final()) handling_->cancel();
}

io::Task<void> Connection::reject(Rejection rejection) {
    const std::string body = rejection.reason + "\n";
    const std::string head = "HTTP/1.1 " + std::to_string(rejection.status) + " " +
                             std::string(reason_phrase(rejection.status)) +
                             "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
                             std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n";
    const std::array<Bytes, 2> parts = {as_bytes(head), as_bytes(body)};
    const Result<> written = co_await write(parts);
    if (written) co_await linger();
}

io::Task<Result<>> Connection::write(std::span<const Bytes> parts) {
    if (is_broken_) co_return fail(Errc::closed, "the client is gone");
    Result<> written = co_await io::with_timeout(
        service_.clock, service_.limits.write_timeout, stream_->write(parts));
    if (!written) is_broken_ = true;
    co_return written;
}

io::Task<void> Connection::wait_for_end() {
    while (!is_ended_)
        co_await changed_.wait();
}

// A socket that is closed while bytes of the client lie unread resets the connection, and the
// client may lose the answer it has not read yet. So: end our side, then let the client end its
// own.
io::Task<void> Connection::linger() {
    is_discarding_ = true;
    input_.clear();
    changed_.notify_all();
    const Result<> ended = co_await stream_->shutdown_write();
    if (!ended) co_return;
    (void)co_await io::with_timeout(  // in vain: closed all the same
        service_.clock,
        service_.limits.linger_timeout,
        wait_for_end());
}

}  // namespace kwaai::http
