// Bytes between two streams, both ways, as many and as long as a limit allows.
#pragma once
#include <cstddef>
#include <optional>

#include "io/clock.hpp"
#include "io/task.hpp"
#include "p2p/circuit.hpp"
#include "p2p/stream.hpp"

namespace kwaai::p2p::relay {

struct PipeLimits {
    std::optional<CircuitLimit> circuit;
    std::size_t buffer_bytes = 2048;  // each way; a side that does not read stops the other
};

/// Returns when both directions have ended, each with a half-close that is passed on.
/// `Errc::limit_exceeded` once a direction would pass the limit's bytes, `timed_out` after its
/// duration, and what broke a stream; both are to be reset then.
io::Task<Result<>> pass_on(Stream& one, Stream& other, io::Clock& clock, PipeLimits limits);

}  // namespace kwaai::p2p::relay
