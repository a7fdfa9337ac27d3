// Many streams over one connection: yamux driven over an io::Stream.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/result.hpp"
#include "io/clock.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"
#include "p2p/limits.hpp"
#include "p2p/muxer/yamux_state.hpp"

namespace kwaai::p2p {

/// A stream of a session; it must not outlive it. Destroying one that has not ended resets it.
class MuxedStream : public io::Stream {
public:
    /// Ends both directions at once; the peer's read and write fail with `Errc::closed`.
    virtual void reset(std::uint32_t code) = 0;
};

/// Confined to the loop's thread. The connection's bytes are read and written by run() alone:
/// frames that are ready in the same turn of the loop leave in one write.
class YamuxSession {
public:
    /// @param transport the secured connection; the session owns it
    /// @param account as YamuxState's
    YamuxSession(std::unique_ptr<io::Stream> transport,
                 YamuxRole role,
                 const Limits& limits,
                 io::Clock& clock,
                 MemoryAccount* account = nullptr);
    YamuxSession(const YamuxSession&) = delete;
    YamuxSession& operator=(const YamuxSession&) = delete;
    /// run() has ended and no stream is left.
    ~YamuxSession();

    /// Reads, writes and keeps alive until the session ends: by close(), the peer's GoAway, a
    /// broken connection or protocol. Says why: `Errc::closed` after close() and an orderly end of
    /// the peer, `malformed` where it broke the protocol, `timed_out` where it stopped answering.
    /// Afterwards all streams fail with `closed`.
    io::Task<Result<>> run();

    /// A new stream; its SYN leaves with the first write. Waits while 256 of ours are
    /// unacknowledged. `Errc::closed` once the session has ended or either side said GoAway.
    io::Task<Result<std::unique_ptr<MuxedStream>>> open();
    /// The next stream that the peer opened. `Errc::closed` as open().
    io::Task<Result<std::unique_ptr<MuxedStream>>> accept();

    /// Sends GoAway and ends the session once what is queued has been written.
    void close();
    [[nodiscard]] bool is_closed() const;
    [[nodiscard]] std::size_t stream_count() const;
    /// Smoothed, from keep-alive pings.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> round_trip_time() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::p2p
