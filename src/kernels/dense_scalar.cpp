// The definition of everything but the quantised products: Lanes is a plain array.
#include "kernels/functions.hpp"
#include "kernels/half.hpp"

namespace kwaai::kernels::scalar {
namespace {

#include "kernels/lanes_scalar.hpp"

constexpr int kTileRows = kScalarTileRows;
constexpr int kQueryTile = 4;
constexpr int kMixRows = 4;

constexpr int score_blocks(int) {
    return 1;
}

constexpr int mix_width(int) {
    return 4;
}

}  // namespace

#include "kernels/dense_body.hpp"

// Takes exp2_lanes from there.
#include "kernels/attention_body.hpp"

}  // namespace kwaai::kernels::scalar
