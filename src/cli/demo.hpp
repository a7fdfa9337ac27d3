// How the demo cuts a model.
#pragma once
#include <cstdint>
#include <vector>

#include "base/result.hpp"
#include "inference/model.hpp"

namespace kwaai::cli {

/// Thirds, the middle one twice. `Errc::invalid_argument` for a model of fewer than three blocks.
[[nodiscard]] Result<std::vector<inference::BlockRange>> demo_split(std::uint32_t block_count);

}  // namespace kwaai::cli
