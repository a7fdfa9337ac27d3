// One connection of a server: reads requests, runs their handlers, writes answers.
#pragma once
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "http/exchange.hpp"
#include "http/parser.hpp"
#include "http/server.hpp"
#include "io/clock.hpp"
#include "io/event.hpp"
#include "io/stream.hpp"
#include "io/task_group.hpp"

namespace kwaai::http {

class Answer;
class Connection;

/// Counts as long as it lives.
class Counted {
public:
    explicit Counted(std::size_t& count) : count_(count) { ++count_; }

    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

    ~Counted() { --count_; }

private:
    std::size_t& count_;
};

/// What the connections of a server share.
struct Service {
    io::Clock& clock;
    Handler& handler;
    Limits limits;
    ServerStats stats;
    std::size_t bodies_bytes = 0;  // of all requests that are being read or handled
    bool is_stopping = false;
    std::list<Connection*> connections;
};

/// Two coroutines share it. The reader takes bytes from the stream whenever `input_` has room, even
/// while a handler works: that is how the server learns at once that the client has gone. The other
/// one parses, calls the handler and decides what comes next.
class Connection {
public:
    Connection(Service& service, std::unique_ptr<io::Stream> stream);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection();

    /// Serves to the end. Call once.
    io::Task<void> run();
    /// Answers "503 Service Unavailable", without having read anything, and closes.
    io::Task<void> refuse();

    /// Looks again at `Service::is_stopping`.
    void wake() { changed_.notify_all(); }

    /// Writes all parts within `Limits::write_timeout`; after a failure nothing is written any
    /// more.
    io::Task<Result<>> write(std::span<const Bytes> parts);

    [[nodiscard]] bool is_client_gone() const { return is_ended_ || is_broken_; }

    [[nodiscard]] bool is_stopping() const { return service_.is_stopping; }

private:
    enum class Part { header, body };

    /// A request, or what to tell the client, or neither: the connection has ended.
    struct Incoming {
        std::optional<Request> request;
        std::optional<Rejection> rejection;
    };

    io::Task<void> read();
    void start_reading(io::TaskGroup& group);
    io::Task<void> serve(io::TaskGroup& group);
    io::Task<void> refuse_and_linger(io::TaskGroup& group);

    io::Task<Incoming> next_request();
    static Incoming unread(const Error& error, std::optional<Rejection> why);
    io::Task<void> wait_for_input();
    // Parses input until that part of the request is here; `why` is set where it must be rejected.
    io::Task<Result<>> feed(RequestParser& parser, Part part, std::optional<Rejection>& why);
    io::Task<Result<>> send_continue();
    void charge_body(std::size_t bytes);

    // True where another request may follow.
    io::Task<bool> answer(const Request& request);
    io::Task<void> start_handler(io::TaskGroup& group, const Request& request, Answer& answer);
    io::Task<void> call_handler(io::TaskGroup& group, const Request& request, Answer& answer);
    void cancel_handler_of_gone_client();

    io::Task<void> reject(Rejection rejection);
    io::Task<void> linger();
    io::Task<void> wait_for_end();

    Service& service_;
    std::unique_ptr<io::Stream> stream_;
    std::list<Connection*>::iterator place_;
    std::string input_;                  // bytes not yet parsed
    io::Event changed_;                  // input_, is_ended_ or is_stopping
    std::size_t body_bytes_ = 0;         // our part of Service::bodies_bytes
    bool is_ended_ = false;              // the client sends no more
    bool is_broken_ = false;             // a write failed
    bool is_discarding_ = false;         // what still comes is of no interest
    io::TaskGroup* handling_ = nullptr;  // while a handler runs
    Answer* answer_ = nullptr;
};

}  // namespace kwaai::http
