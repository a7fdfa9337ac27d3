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
#include "p2p/muxer/muxed_session.hpp"
#include "p2p/muxer/yamux_state.hpp"

namespace kwaai::p2p {

/// Confined to the loop's thread. The connection's bytes are read and written by run() alone:
/// frames that are ready in the same turn of the loop leave in one write.
class YamuxSession final : public MuxedSession {
public:
    /// @param transport the secured connection; the session owns it
    /// @param account, window_learned as YamuxState's
    YamuxSession(std::unique_ptr<io::Stream> transport,
                 YamuxRole role,
                 const Limits& limits,
                 io::Clock& clock,
                 MemoryAccount* account = nullptr,
                 std::uint32_t window_learned = 0);
    YamuxSession(const YamuxSession&) = delete;
    YamuxSession& operator=(const YamuxSession&) = delete;
    /// run() has ended and no stream is left.
    ~YamuxSession() override;

    io::Task<Result<>> run() override;
    /// The SYN leaves with the first write. Waits while 256 of ours are unacknowledged.
    io::Task<Result<std::unique_ptr<MuxedStream>>> open() override;
    io::Task<Result<std::unique_ptr<MuxedStream>>> accept() override;
    /// Sends GoAway.
    void close() override;
    [[nodiscard]] bool is_closed() const override;
    [[nodiscard]] std::size_t stream_count() const override;
    [[nodiscard]] std::uint32_t window_learned() const override;
    /// From keep-alive pings.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> round_trip_time() const override;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::p2p
