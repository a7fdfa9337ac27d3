// Quantised products for AVX-512 with VNNI: a panel's 16 rows are the 16 lanes.
#include <immintrin.h>

#include "kernels/functions.hpp"

namespace kwaai::kernels::avx512 {
namespace {

#include "kernels/records.hpp"

constexpr int kTileRows = kAvx512TileRows;

KWAAI_INLINE __m512i spread(const void* p) {
    int value;
    __builtin_memcpy(&value, p, sizeof value);
    return _mm512_set1_epi32(value);
}

KWAAI_INLINE __m512 halves(const std::uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

KWAAI_INLINE __m512i bytes(const std::uint8_t* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// 32 k of a panel in registers.
struct Block {
    __m512i q[8];
    __m512 scale, second;
};

// Even blocks are the low nibbles, odd ones the high nibbles.
KWAAI_INLINE __m512i nibbles(__m512i x, int b) {
    const __m512i low = b % 2 == 0 ? x : _mm512_srli_epi16(x, 4);
    return _mm512_and_si512(low, _mm512_set1_epi8(15));
}

KWAAI_INLINE void load_nibbles(const std::uint8_t (*q)[64], int b, Block& o) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v)
        o.q[v] = nibbles(_mm512_loadu_si512(q[v]), b);
}

KWAAI_INLINE void load_scales(const Q4_K& w, int b, Block& o) {
    const __m512i low = bytes(w.low[b]);
    const __m512i pair = bytes(w.high[b / 2]);
    const __m512i high = b % 2 == 0 ? pair : _mm512_srli_epi32(pair, 4);
    const __m512i m3 = _mm512_set1_epi32(3);
    const __m512i sc = _mm512_or_si512(_mm512_and_si512(low, _mm512_set1_epi32(15)),
                                       _mm512_slli_epi32(_mm512_and_si512(high, m3), 4));
    const __m512i top = _mm512_and_si512(_mm512_srli_epi32(high, 2), m3);
    const __m512i mn = _mm512_or_si512(_mm512_srli_epi32(low, 4), _mm512_slli_epi32(top, 4));
    o.scale = _mm512_mul_ps(halves(w.d), _mm512_cvtepi32_ps(sc));
    // The half is negated, not the integer: -(dmin * 0) is -0 in the definition.
    const __m512 dmin = _mm512_xor_ps(halves(w.dmin), _mm512_set1_ps(-0.0f));
    o.second = _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(mn));
}

// Bits 4 and 5 of `high` on top of a nibble.
KWAAI_INLINE __m512i join(__m512i low, __m512i high) {
    return _mm512_or_si512(low, _mm512_and_si512(high, _mm512_set1_epi8(0x30)));
}

KWAAI_INLINE __m512 scales(const Q6_K& w, const std::int8_t* sc) {
    const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(sc));
    return _mm512_mul_ps(_mm512_loadu_ps(w.d), _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(packed)));
}

KWAAI_INLINE void load_sixes(const Q6_K& w, int b, Block& o) {
    const Q6_K::Part& part = w.part[b / 2];
    const bool odd = b % 2 != 0;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
        const __m512i high = _mm512_loadu_si512(part.v[v].high);
        o.q[v] = join(nibbles(_mm512_loadu_si512(part.v[v].low[0]), b),
                      odd ? high : _mm512_slli_epi16(high, 4));
        o.q[v + 4] = join(nibbles(_mm512_loadu_si512(part.v[v].low[1]), b),
                          odd ? _mm512_srli_epi16(high, 2) : _mm512_slli_epi16(high, 2));
    }
    o.scale = scales(w, part.sc[2 * (b % 2)]);
    o.second = scales(w, part.sc[2 * (b % 2) + 1]);
}

KWAAI_INLINE void load_wide(const Wide& w, Block& o) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v)
        o.q[v] = _mm512_loadu_si512(w.q[v]);
    o.scale = _mm512_loadu_ps(w.scale);
    o.second = _mm512_loadu_ps(w.second);
}

// Block b of a record.
template <Format F>
KWAAI_INLINE void load(const Record<F>& w, int b, Block& o) {
    o.second = _mm512_setzero_ps();
    if constexpr (F == Format::q4_0 || F == Format::q4_1) {
        load_nibbles(w.q, b, o);
        o.scale = halves(w.d[b]);
        if constexpr (F == Format::q4_1) o.second = halves(w.m[b]);
    } else if constexpr (F == Format::q8_0) {
#pragma GCC unroll 8
        for (int v = 0; v < 8; ++v)
            o.q[v] = _mm512_loadu_si512(w.q[b][v]);
        o.scale = halves(w.d[b]);
    } else if constexpr (F == Format::q4_k) {
        load_nibbles(w.q[b / 2], b, o);
        load_scales(w, b, o);
    } else if constexpr (F == Format::q6_k) {
        load_sixes(w, b, o);
    } else {
        load_wide(w, o);
    }
}

// u8 codes times s8 activations, four k a lane, added to `sum`.
template <int N>
KWAAI_INLINE __m512i dot(const __m512i* q, const std::int8_t* x, __m512i sum) {
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v)
        sum = _mm512_dpbusd_epi32(sum, q[v], spread(x + 4 * v));
    return sum;
}

// The negative sums are the start value of the accumulator: the codes' bias costs nothing.
template <Format F>
KWAAI_INLINE __m512i start(const Act& x) {
    if constexpr (F == Format::q4_0) return spread(&x.neg8);
    if constexpr (F == Format::q8_0) return spread(&x.neg128);
    return _mm512_setzero_si512();
}

template <Format F, int M>
KWAAI_INLINE void add_block(const Block& w, const Act* a, __m512 (&sum)[M]) {
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
        const Act& x = a[m];
        if constexpr (F == Format::q6_k) {
            const __m512i s = dot<4>(w.q, x.q, spread(&x.neg32[0]));
            const __m512i t = dot<4>(w.q + 4, x.q + 16, spread(&x.neg32[1]));
            const __m512 first = _mm512_mul_ps(_mm512_cvtepi32_ps(s), w.scale);
            const __m512 other = _mm512_mul_ps(_mm512_cvtepi32_ps(t), w.second);
            const __m512 both = _mm512_add_ps(first, other);
            sum[m] = _mm512_add_ps(sum[m], _mm512_mul_ps(both, _mm512_set1_ps(x.scale)));
        } else {
            const __m512i s = dot<8>(w.q, x.q, start<F>(x));
            const __m512 scale = _mm512_mul_ps(w.scale, _mm512_set1_ps(x.scale));
            __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(s), scale);
            if constexpr (kHasAddend<F>) {
                const __m512 shift = _mm512_mul_ps(w.second, _mm512_set1_ps(x.scaled_sum));
                value = _mm512_add_ps(shift, value);
            }
            sum[m] = _mm512_add_ps(sum[m], value);
        }
    }
}

template <int M>
KWAAI_INLINE void store(const Tile& t, const __m512 (&sum)[M]) {
    for (int m = 0; m < M; ++m)
        _mm512_storeu_ps(t.out + static_cast<std::size_t>(m) * t.out_stride, sum[m]);
}

// Unrolled by two blocks, an even and an odd one: unrolling a whole record gained nothing.
template <Format F, int M, bool kPrefetch>
void multiply_tile(const Record<F>* w, int records, const Tile& t, int prefetch_bytes) {
    const Act* a = t.act;
    __m512 sum[M];
    for (__m512& s : sum)
        s = _mm512_setzero_ps();
    for (int n = 0; n < records; ++n) {
#pragma GCC unroll 2
        for (int b = 0; b < kBlocks<F>; ++b, a += M) {
            if (kPrefetch) prefetch_block<F>(w + n, b, prefetch_bytes);
            Block block;
            load<F>(w[n], b, block);
            add_block<F, M>(block, a, sum);
        }
    }
    store(t, sum);
}

template <Format F, int M>
void multiply_wide_tile(const Wide* w, int blocks, const Tile& t, bool resume) {
    const Act* a = t.act;
    __m512 sum[M];
    for (int m = 0; m < M; ++m) {
        const float* out = t.out + static_cast<std::size_t>(m) * t.out_stride;
        sum[m] = resume ? _mm512_loadu_ps(out) : _mm512_setzero_ps();
    }
    for (int b = 0; b < blocks; ++b, a += M) {
        Block block;
        load_wide(w[b], block);
        add_block<F, M>(block, a, sum);
    }
    store(t, sum);
}

template <Format F>
void widen_records(const Record<F>* w, int records, Wide* out) {
    for (int n = 0; n < records; ++n) {
#pragma GCC unroll 2
        for (int b = 0; b < kBlocks<F>; ++b, ++out) {
            Block block;
            load<F>(w[n], b, block);
            for (int v = 0; v < 8; ++v)
                _mm512_storeu_si512(out->q[v], block.q[v]);
            _mm512_storeu_ps(out->scale, block.scale);
            _mm512_storeu_ps(out->second, block.second);
        }
    }
}

}  // namespace

#include "kernels/matmul_body.hpp"

}  // namespace kwaai::kernels::avx512
