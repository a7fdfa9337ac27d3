// How fast blocks are on this machine.
#pragma once
#include "engine/block_backend.hpp"

namespace kwaai::engine {

/// Rows of one sequence that go through all blocks in a second, one a step, as when a text is
/// written: the best of a few steps. Waits for them, half a second and a step at most where nobody
/// else is served; not on the backend's thread. Errors of BlockBackend::open and submit.
[[nodiscard]] Result<double> measure_rows_per_second(BlockBackend& backend);

}  // namespace kwaai::engine
