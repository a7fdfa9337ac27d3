// Bytes in both directions: what TCP, in-memory pipes and, later, multiplexed streams have in
// common.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/task.hpp"

namespace kwaai::io {

/// A reliable, ordered stream of bytes. At most one read and one write are under way at a time;
/// they may overlap. Confined to the loop's thread. Destroying it closes it; nothing may be under
/// way then. Implementations: TCP (`tcp.hpp`), `testing::make_stream_pair`.
class Stream {
public:
    Stream() = default;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    virtual ~Stream() = default;

    /// Waits for at least one byte and returns how many were put at the front of `into` (not empty,
    /// kept alive by the caller). 0 means that the peer will send no more. `Errc::closed` after
    /// close() and when the peer has broken the connection, `io` for what else the system reports.
    /// Cancellation unwinds it and loses no byte.
    virtual Task<Result<std::size_t>> read_some(MutableBytes into) = 0;

    /// Writes all bytes of all parts, in order. The parts and their list are kept alive by the
    /// caller. Errors as read_some. Cancellation unwinds it after an unknown number of bytes: close
    /// the stream then.
    virtual Task<Result<>> write(std::span<const Bytes> parts) = 0;

    /// As above, one part.
    Task<Result<>> write(Bytes bytes);

    /// Tells the peer that no more will come; reading goes on. Errors as read_some.
    virtual Task<Result<>> shutdown_write() = 0;

    /// Ends both directions at once; what is under way ends with `Errc::closed`. Repeatable.
    virtual void close() = 0;

    /// The other end, for logs: "127.0.0.1:52100".
    [[nodiscard]] virtual std::string peer() const = 0;
};

/// Waits for connections. Confined to the loop's thread.
class Listener {
public:
    Listener() = default;
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    virtual ~Listener() = default;

    /// The next connection. `Errc::closed` after close(); `unavailable` for what passes (too many
    /// open files, a peer gone before it was accepted): wait a little and try again; `io` else.
    virtual Task<Result<std::unique_ptr<Stream>>> accept() = 0;

    /// Takes no more connections; an accept() under way ends with `Errc::closed`. Repeatable.
    virtual void close() = 0;

    /// Where it listens, with the port that the system chose: "127.0.0.1:8080".
    [[nodiscard]] virtual std::string local_address() const = 0;
};

}  // namespace kwaai::io
