// What every io::Stream must do: one suite for all who implement it.
#pragma once
#include <functional>

#include "io/stream.hpp"
#include "io/task.hpp"
#include "testing/simulation.hpp"

namespace kwaai::testing {

/// What a case does with the two ends of a connection.
using StreamCaseBody = io::Task<void> (*)(Simulation& simulation, io::Stream& a, io::Stream& b);

/// Makes two connected streams that take 32 KiB before a write waits, runs `body(simulation, a,
/// b)`, and takes everything down again, also where the body throws (a failed REQUIRE).
using WithStreams = std::function<io::Task<void>(Simulation& simulation, StreamCaseBody body)>;

/// Runs every case, each in a simulation of its own. Call it inside a doctest case, for both ways
/// round where the ends are made differently.
void check_stream_conformance(const WithStreams& with_streams);

}  // namespace kwaai::testing
