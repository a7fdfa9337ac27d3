// Element types of tensors in model files and what their blocks decode to.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.hpp"

namespace kwaai::tensor {

/// Types this build reads. Values are our own; ggml and safetensors ids are mapped where files are
/// read.
enum class Dtype : std::uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k };

/// "F32", "Q4_K", ... as GGUF tools print them.
[[nodiscard]] std::string_view to_string(Dtype dtype);

/// Values in a block: 1 for floats, 32 or 256 for quantised types.
[[nodiscard]] std::size_t block_values(Dtype dtype);
/// Bytes of a block.
[[nodiscard]] std::size_t block_bytes(Dtype dtype);

/// Decodes `count` values (a multiple of block_values) from `bytes` (exactly count / block_values *
/// block_bytes) to f32. Bit for bit what ggml's dequantize_row gives.
void dequantise(Dtype dtype, Bytes bytes, std::size_t count, float* out);

/// IEEE half and bfloat16 to and from f32; halves round to nearest even.
[[nodiscard]] float half_to_float(std::uint16_t half);
[[nodiscard]] std::uint16_t float_to_half(float value);
[[nodiscard]] float bfloat16_to_float(std::uint16_t bits);

}  // namespace kwaai::tensor
