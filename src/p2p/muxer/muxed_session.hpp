// Many streams over one connection, whatever carries them: yamux or QUIC.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/result.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"

namespace kwaai::p2p {

/// A stream of a session; it must not outlive it. Destroying one that has not ended resets it.
class MuxedStream : public io::Stream {
public:
    /// Ends both directions at once; the peer's read and write fail with `Errc::closed`.
    virtual void reset(std::uint32_t code) = 0;
};

/// Confined to the loop's thread. The connection's bytes are read and written while run() runs.
/// run() has ended and no stream is left when it is destroyed.
class MuxedSession {
public:
    MuxedSession() = default;
    MuxedSession(const MuxedSession&) = delete;
    MuxedSession& operator=(const MuxedSession&) = delete;
    virtual ~MuxedSession() = default;

    /// Reads, writes and keeps alive until the session ends: by close(), the peer's goodbye, a
    /// broken connection or protocol. Says why: `Errc::closed` after close() and an orderly end of
    /// the peer, `malformed` where it broke the protocol, `timed_out` where it stopped answering.
    /// Afterwards all streams fail with `closed`.
    virtual io::Task<Result<>> run() = 0;

    /// A new stream. Waits while there are as many as the peer allows. `Errc::closed` once the
    /// session has ended or either side said goodbye.
    virtual io::Task<Result<std::unique_ptr<MuxedStream>>> open() = 0;
    /// The next stream that the peer opened. `Errc::closed` as open().
    virtual io::Task<Result<std::unique_ptr<MuxedStream>>> accept() = 0;

    /// Says goodbye and ends the session once what is queued has been written.
    virtual void close() = 0;
    [[nodiscard]] virtual bool is_closed() const = 0;
    [[nodiscard]] virtual std::size_t stream_count() const = 0;

    /// The receive window that streams of this session grew to, for later ones with the same peer
    /// (WindowMemory); 0 where the protocol finds it by other means.
    [[nodiscard]] virtual std::uint32_t window_learned() const { return 0; }

    /// Smoothed; nothing before the first measurement.
    [[nodiscard]] virtual std::optional<std::chrono::nanoseconds> round_trip_time() const = 0;
};

}  // namespace kwaai::p2p
