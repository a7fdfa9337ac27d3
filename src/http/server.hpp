// An HTTP/1.1 server over any Stream.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.hpp"
#include "http/exchange.hpp"
#include "io/clock.hpp"
#include "io/stream.hpp"

namespace kwaai::http {

/// What clients may take of the server. Whoever exceeds it gets the status in parentheses, or a
/// closed connection.
struct Limits {
    std::size_t header_bytes_max = 16 * 1024;              // request line and fields (431)
    std::size_t body_bytes_max = std::size_t{8} << 20;     // of one request (413)
    std::size_t bodies_bytes_max = std::size_t{64} << 20;  // of all requests together (503)
    std::size_t connections_max = 256;                     // served at a time (503)
    std::size_t refusals_max = 32;                         // told 503 at a time; closed beyond that
    std::chrono::milliseconds idle_timeout{75'000};        // without a request (closed)
    std::chrono::milliseconds header_timeout{10'000};      // first byte to end of header (408)
    std::chrono::milliseconds body_timeout{60'000};        // end of header to end of body (408)
    std::chrono::milliseconds write_timeout{30'000};       // one write; the client takes nothing
    std::chrono::milliseconds linger_timeout{1'000};       // for the client to read a last answer
};

struct ServerStats {
    std::size_t connections = 0;     // now
    std::size_t exchanges = 0;       // handlers at work now
    std::uint64_t requests = 0;      // since the start, handed to the handler
    std::uint64_t refused = 0;       // connections beyond the limit
    std::uint64_t bad_requests = 0;  // answered by the server itself with 4xx
};

/// Serves connections with keep-alive and pipelining. Confined to the loop's thread. `clock` and
/// `handler` outlive it; it outlives its tasks.
class Server {
public:
    Server(io::Clock& clock, Handler& handler, Limits limits);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    /// Accepts and serves until stop() has been called and every connection has ended. Fails with
    /// what the listener reports when it cannot go on (`Errc::io`); connections are cancelled then.
    /// Cancellation ends all connections at once and unwinds.
    io::Task<Result<>> serve(io::Listener& listener);

    /// Serves one connection to its end.
    io::Task<void> serve_connection(std::unique_ptr<io::Stream> stream);

    /// Takes no more connections and requests. Idle connections are closed, running exchanges may
    /// go on for `grace` and are cancelled then. Repeatable; the shorter grace counts.
    void stop(io::Duration grace);

    [[nodiscard]] ServerStats stats() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::http
