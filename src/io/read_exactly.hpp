// Reads that wait for a given number of bytes.
#pragma once
#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"

namespace kwaai::io {

/// Fills `into` (kept alive by the caller). `Errc::closed` where the stream ends before: says how
/// many bytes of how many came. Errors of read_some. Cancellation loses what was read.
Task<Result<>> read_exactly(Stream& stream, MutableBytes into);

}  // namespace kwaai::io
