// Everything but the quantised products, for AVX2 with FMA and F16C.
#include <immintrin.h>

#include "kernels/functions.hpp"

namespace kwaai::kernels::avx2 {
namespace {

#include "kernels/lanes_avx2.hpp"

// 16 registers, and a Lanes takes two.
constexpr int kTileRows = kAvx2TileRows;
constexpr int kQueryTile = 6;
constexpr int kMixRows = 2;

constexpr int score_blocks(int rows) {
    return rows == 1 ? 4 : rows == 2 ? 2 : 1;
}

constexpr int mix_width(int rows) {
    return rows == 1 ? 4 : 2;
}

}  // namespace

#include "kernels/dense_body.hpp"

// Takes exp2_lanes from there.
#include "kernels/attention_body.hpp"

}  // namespace kwaai::kernels::avx2
