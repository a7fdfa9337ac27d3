// What bench/p2p.py measures over a connection that is there.
#pragma once
#include <cstdint>
#include <vector>

#include "base/result.hpp"
#include "io/clock.hpp"
#include "io/task.hpp"
#include "p2p/host.hpp"

namespace kwaai::interop {

struct PerfStreams {
    unsigned count = 1;
    std::uint64_t upload_bytes = 0;  // of all of them
    std::uint64_t download_bytes = 0;
};

/// /perf/1.0.0 on streams beside each other: seconds until the last one has ended. Errors of
/// p2p::measure_perf.
io::Task<Result<double>> measure_streams(p2p::Host& host,
                                         io::Clock& clock,
                                         p2p::PeerId peer,
                                         PerfStreams wanted);

/// 64 bytes to /echo/1.0.0 and back, one after the other on one stream that has been used before:
/// microseconds each.
io::Task<Result<std::vector<double>>> measure_requests(p2p::Host& host,
                                                       io::Clock& clock,
                                                       p2p::PeerId peer,
                                                       unsigned count);

}  // namespace kwaai::interop
