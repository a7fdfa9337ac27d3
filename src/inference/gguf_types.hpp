// The tensor types of GGUF files by number: those this build reads and the names of the others.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "tensor/dtype.hpp"

namespace kwaai::inference {

/// The type of a ggml id that this build reads.
[[nodiscard]] std::optional<tensor::Dtype> dtype_of_ggml(std::uint32_t id);

/// "IQ4_XS", or "77 (unknown)" for an id nobody has named. Source: ggml.h, enum ggml_type.
[[nodiscard]] std::string ggml_type_name(std::uint32_t id);

}  // namespace kwaai::inference
