// Attention of a few query rows over one KV head whose keys and values lie in pages. Written once,
// in attention_body.hpp, over a type of 16 floats; each instruction set gives it an implementation
// and the same bits.
//
// A page holds kPagePositions consecutive positions of one head, from a multiple of kPagePositions
// on: K [position / 16][dim][position % 16] f16, so that 16 keys lie across the lanes and a score
// is one plain sum over dim; V [position][dim] f16, so that dim lies across the lanes and an output
// is one plain sum over positions. Positions are taken in chunks of kChunk counted from position 0;
// the chunks' results are joined in order.
#pragma once
#include <cstddef>
#include <cstdint>

namespace kwaai::kernels {

inline constexpr int kChunk = 256;
inline constexpr int kPagePositions = 64;
inline constexpr int kHeadDimMax = 512;

struct Attention {
    const float*
        q;  // [rows][dim], already multiplied by log2(e) * scale; rounded to 13 bits inside
    const std::uint16_t* const* k;  // [page] -> K as above
    const std::uint16_t* const* v;  // [page] -> V as above
    float* out;                     // [rows][dim]
    const int* visible;  // [rows] >= 1: positions the row sees; any K and finite V may follow
    int rows;
    int dim;         // a multiple of 16, at most kHeadDimMax; the caller pads heads with zeros
    float* scratch;  // attention_scratch_floats(rows, dim), 64-byte aligned
};

constexpr std::size_t attention_scratch_floats(int rows, int dim) {
    return static_cast<std::size_t>(rows) * (kChunk + 2 * static_cast<std::size_t>(dim) + 16) +
           static_cast<std::size_t>(kChunk + 16) * static_cast<std::size_t>(dim);
}

}  // namespace kwaai::kernels
