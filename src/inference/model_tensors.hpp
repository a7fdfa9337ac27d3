// Whether a file has the tensors its configuration implies; private to the model files of this
// room.
#pragma once
#include "inference/model_config.hpp"

namespace kwaai::inference {

/// Checks that every tensor of `config` exists with its shape and that no other is there, which
/// could only be a feature the blocks do not know. Sets `is_head_tied` and reads the rotary
/// factors. `Errc::malformed` names the tensor and both shapes; `unsupported` names a surplus
/// tensor.
Result<void> check_tensors(const ModelFile& file, ModelConfig& config);

}  // namespace kwaai::inference
