// Matrix products over weights in panels: records, packed activations, tiles. No standard
// containers: kernels get raw pointers. Layout and arithmetic are written down in
// docs/arithmetic.md; scalar.cpp is the definition.
//
// A panel is 16 output rows. A record is what the panel holds for 64 (or 256) consecutive k. In the
// code arrays q[v][4*r + i], r = row in the panel, v = 0..7, i = 0..3: k = 4*v + i within a block
// of 32 k. Where two values share a byte, the low nibble belongs to the even block of 32 and the
// high nibble to the odd one.
#pragma once
#include <cstddef>
#include <cstdint>

namespace kwaai::kernels {

inline constexpr int kPanelRows = 16;
inline constexpr int kBlock = 32;        // k values of an Act
inline constexpr int kSuperBlock = 256;  // k values of a block of the K-quants
inline constexpr int kWideChunk = 64;    // blocks of a panel that are widened at a time
inline constexpr int kWideRowsMin = 32;  // rows from which widening pays

/// How a packed matrix stores its weights.
enum class Format : std::uint8_t {
    q4_0,  ///< w = d * (code - 8)
    q4_1,  ///< w = d * code + m
    q8_0,  ///< w = d * (code - 128); GGUF's signed byte with the top bit flipped
    q4_k,  ///< w = d * sc * code - dmin * mn, sc and mn per block of 32
    q6_k,  ///< w = d * sc * (code - 32), sc per 16 k
    u6,  ///< w = scale * code + second, code < 64, f32 scale and second per block: Q5_0, Q5_1, Q5_K
         ///< expanded
    f16,  ///< [k][16] halves
    f32,  ///< [k][16] floats
};

// Named as GGUF names the types.
// NOLINTBEGIN(readability-identifier-naming)
struct Q4_0 {
    std::uint16_t d[2][16];
    std::uint8_t q[8][64];
};

struct Q4_1 {
    std::uint16_t d[2][16];
    std::uint16_t m[2][16];
    std::uint8_t q[8][64];
};

struct Q8_0 {
    std::uint16_t d[2][16];
    std::uint8_t q[2][8][64];
};

struct Q4_K {
    std::uint16_t d[16], dmin[16];
    std::uint8_t low[8][16];   // [block][row]: sc & 15 | (mn & 15) << 4
    std::uint8_t high[4][16];  // [pair][row]: bits 0-1 sc>>4, 2-3 mn>>4 of the even block; 4-5, 6-7
                               // of the odd one
    std::uint8_t q[4][8][64];
};

struct Q6_K {
    float d[16];

    struct Part {               // 64 k
        std::int8_t sc[4][16];  // [group of 16 k][row]

        struct {  // v = 0..3, in the order in which a kernel reads them: strictly upwards
            std::uint8_t
                high[64];  // bits 0-1 even block, vector v; 2-3 even, v+4; 4-5 odd, v; 6-7 odd, v+4
            std::uint8_t low[2][64];  // nibbles of vectors v and v+4
        } v[4];
    } part[4];
};

// NOLINTEND(readability-identifier-naming)

/// 32 k of a panel with everything unpacked: what a product over many rows reads, and the record of
/// Format::u6. `second` is the addend per block (q4_1, q4_k, u6) or the scale of the second 16 k
/// (q6_k).
struct Wide {
    std::uint8_t q[8][64];
    float scale[16];
    float second[16];
};

static_assert(sizeof(Q4_0) == 16 * 2 * 18 && sizeof(Q4_1) == 16 * 2 * 20 &&
              sizeof(Q8_0) == 16 * 2 * 34);
static_assert(sizeof(Q4_K) == 16 * 144 && sizeof(Q6_K) == 16 * 210 + 32 && sizeof(Wide) == 640);

/// 32 activations of one row, one cache line. `q` is x * (127 / max|x|) rounded to nearest even,
/// `scale` max|x| / 127, `scaled_sum` scale * float(sum q). neg8, neg128: -8, -128 times the sum;
/// neg32: -32 times the sums of 16.
struct Act {
    std::int8_t q[32];
    float scale;
    float scaled_sum;
    std::int32_t neg8, neg128, neg32[2];
    std::int32_t unused[2];
};

static_assert(sizeof(Act) == 64);

/// Quantised activations of `rows` rows, packed [block][row], and where their products go.
struct Tile {
    const Act* act;
    float* out;              // out[row * out_stride + r], r = row of the panel
    std::size_t out_stride;  // floats
    int rows;
};

/// Unquantised activations of `rows` rows: x[row * x_stride + k].
struct FloatTile {
    const float* x;
    std::size_t x_stride;  // floats
    float* out;
    std::size_t out_stride;
    int rows;
    int prefetch_bytes;  // how far ahead weights are asked for; 0: not at all
};

/// k values in a record of a quantised format; 1 for f16 and f32.
constexpr int record_k(Format format) {
    switch (format) {
        case Format::q4_0:
        case Format::q4_1:
        case Format::q8_0: return 64;
        case Format::q4_k:
        case Format::q6_k: return 256;
        case Format::u6: return 32;
        case Format::f16:
        case Format::f32: return 1;
    }
    return 0;
}

/// Bytes of a record of a panel.
constexpr std::size_t record_bytes(Format format) {
    switch (format) {
        case Format::q4_0: return sizeof(Q4_0);
        case Format::q4_1: return sizeof(Q4_1);
        case Format::q8_0: return sizeof(Q8_0);
        case Format::q4_k: return sizeof(Q4_K);
        case Format::q6_k: return sizeof(Q6_K);
        case Format::u6: return sizeof(Wide);
        case Format::f16: return 16 * sizeof(std::uint16_t);
        case Format::f32: return 16 * sizeof(float);
    }
    return 0;
}

constexpr bool is_float(Format format) {
    return format == Format::f16 || format == Format::f32;
}

}  // namespace kwaai::kernels
