// Perf: how many bytes a second go to a peer and come from it (libp2p specs, perf).
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.hpp"
#include "io/clock.hpp"
#include "io/task.hpp"
#include "p2p/host.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

inline constexpr const char* kPerfProtocol = "/perf/1.0.0";

struct PerfLimits {
    std::uint64_t answer_bytes_max = std::uint64_t{16} << 30;  // that one request may ask for
    std::size_t streams_max = 4;                               // served at a time
    std::size_t streams_per_peer_max = 2;
    std::chrono::milliseconds silence_max{30000};  // for a chunk of 256 KiB to move
};

/// Answers measurements of others. A peer makes it send as much as it asks for, so a node has one
/// only where its owner wants that. Confined to the loop's thread.
class PerfServer {
public:
    /// Handles the protocol from here on. `host` and `clock` outlive it, and the host's run() has
    /// ended before.
    PerfServer(Host& host, io::Clock& clock, PerfLimits limits);
    PerfServer(const PerfServer&) = delete;
    PerfServer& operator=(const PerfServer&) = delete;
    ~PerfServer();

    struct State;

private:
    Host& host_;
    std::shared_ptr<State> state_;
};

struct PerfRequest {
    std::uint64_t upload_bytes = 0;
    std::uint64_t download_bytes = 0;  // asked of the peer, once it has the upload
    /// Told after each chunk how many bytes went and came so far; may be empty.
    std::function<void(std::uint64_t moved)> on_progress;
};

/// Sends, then receives, over a new stream, and ends with the peer's end. The time from the first
/// byte on. Errors of Host::open; `unsupported` where the peer does not speak the protocol,
/// `malformed` where another number of bytes comes than was asked for, `timed_out` after
/// `silence_max` without a chunk, `closed` where the peer ends early.
io::Task<Result<io::Duration>> measure_perf(
    Host& host, io::Clock& clock, PerfLimits limits, PeerId peer, PerfRequest request);

}  // namespace kwaai::p2p
