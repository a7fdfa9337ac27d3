// Ping: 32 random bytes and their echo (libp2p specs, ping).
#pragma once
#include <chrono>
#include <functional>
#include <memory>

#include "base/result.hpp"
#include "io/clock.hpp"
#include "io/task.hpp"
#include "p2p/stream.hpp"

namespace kwaai::p2p {

inline constexpr const char* kPingProtocol = "/ipfs/ping/1.0.0";

/// Echoes blocks of 32 bytes until the peer ends or stays silent for a minute.
io::Task<void> serve_ping(std::unique_ptr<Stream> stream, io::Clock& clock);

/// One ping over `stream`. `Errc::malformed` where something else comes back, `closed`.
io::Task<Result<std::chrono::nanoseconds>> ping_once(
    Stream& stream, io::Clock& clock, const std::function<void(MutableBytes)>& random);

}  // namespace kwaai::p2p
