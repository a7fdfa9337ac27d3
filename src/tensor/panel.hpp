// One panel of 16 rows between a file's blocks and a kernel's records.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/matmul.hpp"
#include "tensor/dtype.hpp"

namespace kwaai::tensor {

/// Scale and minimum, 6 bits each, of block `block` (0..7) of 32 values in Q4_K and Q5_K; `scales`
/// are the 12 bytes after d and dmin. Blocks 0..3 have theirs in the low 6 bits of bytes 0..3 and
/// 4..7; blocks 4..7 have nibbles in bytes 8..11 and their upper bits on top of those bytes.
struct KScale {
    unsigned scale;
    unsigned minimum;
};

[[nodiscard]] KScale k_scale(const std::byte* scales, unsigned block);

/// Repacks up to 16 rows of `k` values, a multiple of block_values(dtype): rows[r] is a row's bytes
/// in the file, null for a row of padding. `panel` holds ceil(k / record_k) records of
/// packed_format(dtype), zeros when new: what is not written stays zero and so contributes nothing.
void pack_panel(Dtype dtype, const std::byte* const (&rows)[16], std::size_t k, std::byte* panel);

/// Decodes row `r` of a panel to out [k], with the bits of `dequantise`.
void unpack_row(Dtype dtype, const std::byte* panel, std::size_t r, std::size_t k, float* out);

}  // namespace kwaai::tensor
