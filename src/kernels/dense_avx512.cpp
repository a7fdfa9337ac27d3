// Everything but the quantised products, for AVX-512.
#include <immintrin.h>

#include "kernels/functions.hpp"

namespace kwaai::kernels::avx512 {
namespace {

#include "kernels/lanes_avx512.hpp"

constexpr int kTileRows = kAvx512TileRows;
constexpr int kQueryTile = 16;
constexpr int kMixRows = 4;

// Blocks of 16 keys that a tile of `rows` scores at once: enough sums in flight to hide the latency
// of an addition.
constexpr int score_blocks(int rows) {
    return rows <= 4 ? 4 : 1;
}

// Vectors of a value that are mixed at once.
constexpr int mix_width(int) {
    return 4;
}

}  // namespace

#include "kernels/dense_body.hpp"

// Takes exp2_lanes from there.
#include "kernels/attention_body.hpp"

}  // namespace kwaai::kernels::avx512
