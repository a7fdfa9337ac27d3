// The table of kernels. One table per instruction set, all with the same bits; chosen once at
// start. docs/arithmetic.md defines every operation; `scalar` is that definition in code.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/attention.hpp"
#include "kernels/matmul.hpp"

namespace kwaai::kernels {

/// How rotary pairs lie in a head: `norm` (2i, 2i+1), `neox` (i, i + pairs).
enum class RopeLayout : std::uint8_t { norm, neox };

/// One instruction set. Sizes are counts of floats unless named otherwise; pointers need no
/// alignment unless said.
struct Isa {
    const char* name;   // "scalar", "avx2", "avx512"
    int tile_rows_max;  // rows of a tile for `multiply` and `multiply_wide`

    // Quantised formats: a panel times a tile of 1..tile_rows_max rows; see matmul.hpp.
    void (*multiply)(Format, const void* panel, int records, const Tile&, int prefetch_bytes);
    void (*widen)(Format, const void* panel, int records, Wide*);
    void (*multiply_wide)(Format, const Wide*, int blocks, const Tile&, bool resume);
    // F16 and F32 weights, activations unquantised: k ascending, multiply then add.
    void (*multiply_float)(Format, const void* panel, int k, const FloatTile&);

    // x [k] f32 -> ceil(k / 32) blocks at out[block * out_stride]; k is padded with zeros. `group`
    // values share a scale: kBlock or kSuperBlock.
    void (*quantise)(const float* x, int k, int group, Act* out, std::size_t out_stride);
    void (*attend)(const Attention&);

    // y[i] = x[i] * (1 / sqrt(mean(x^2) + epsilon)) * weight[i]; the mean over 16 lane partials
    // folded 8, 4, 2, 1.
    void (*rms_norm)(const float* x, const float* weight, float epsilon, int n, float* y);
    // Rotates one head in place: `pairs` pairs by cosine[i], sine[i].
    void (*rope)(float* x, const float* cosine, const float* sine, int pairs, RopeLayout);
    // y[i] = gate[i] / (1 + exp(-gate[i])) * up[i]
    void (*silu_multiply)(const float* gate, const float* up, int n, float* y);
    // x[i] += y[i]
    void (*add)(float* x, const float* y, int n);
    // y[i] = x[i] * factor
    void (*scale)(const float* x, float factor, int n, float* y);
    // f32 -> f16, ties to even, overflow to the largest finite half (so that V cells stay finite;
    // NaN becomes 0).
    void (*to_half)(const float* x, int n, std::uint16_t* y);
};

/// The tables this build has and this CPU can run, scalar first, fastest last.
/// @return the number written, at most `capacity`
int available(const Isa** out, int capacity);

/// The fastest table of this CPU; KWAAI_ISA=scalar|avx2|avx512 in the environment chooses another
/// (native builds).
const Isa& best();

/// The table called `name`, or null where this build or CPU has none.
const Isa* by_name(const char* name);

/// Changes whenever any result of any kernel changes; peers compare it before they trust equality
/// of bits.
inline constexpr std::uint32_t kArithmeticId = 2;

}  // namespace kwaai::kernels
