// What every io::Stream must do: one suite for all who implement it.
#pragma once
#include <functional>

#include "io/loop.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"
#include "testing/simulation.hpp"

namespace kwaai::testing {

/// What a case does with the two ends of a connection.
class StreamCaseBody {
public:
    using Run = io::Task<void> (*)(io::Clock& clock, io::Stream& a, io::Stream& b);

    explicit StreamCaseBody(Run run) : run_(run) {}

    io::Task<void> operator()(Simulation& simulation, io::Stream& a, io::Stream& b) const {
        return run_(simulation.clock(), a, b);
    }

    io::Task<void> operator()(io::Loop& loop, io::Stream& a, io::Stream& b) const {
        return run_(loop.clock(), a, b);
    }

private:
    Run run_;
};

/// Makes two connected streams that take 32 KiB before a write waits, runs `body(simulation, a,
/// b)`, and takes everything down again, also where the body throws (a failed REQUIRE).
using WithStreams = std::function<io::Task<void>(Simulation& simulation, StreamCaseBody body)>;

/// Runs every case, each in a simulation of its own. Call it inside a doctest case, for both ways
/// round where the ends are made differently.
void check_stream_conformance(const WithStreams& with_streams);

/// For streams of the operating system, which know no virtual time: on a loop of their own each.
using WithSystemStreams = std::function<io::Task<void>(io::Loop& loop, StreamCaseBody body)>;

void check_system_stream_conformance(const WithSystemStreams& with_streams);

}  // namespace kwaai::testing
