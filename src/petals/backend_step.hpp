// Where the io thread meets the backend's.
#pragma once
#include <vector>

#include "base/result.hpp"
#include "engine/block_backend.hpp"
#include "io/loop.hpp"
#include "io/task.hpp"

namespace kwaai::petals {

/// Submits a step and waits for its rows, on the caller's loop, which outlives the backend. Errors
/// of BlockBackend::submit. Cancellation unwinds it at once: the step goes on, for nobody, until
/// its session is closed.
io::Task<Result<std::vector<float>>> compute_step(io::Loop& loop,
                                                  engine::BlockBackend& backend,
                                                  engine::BlockStep step);

}  // namespace kwaai::petals
