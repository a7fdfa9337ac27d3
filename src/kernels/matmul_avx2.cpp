// Quantised products for AVX2: a panel's 16 rows are two vectors of 8. Products of u8 and s8 go
// through vpmaddubsw, whose i16 sums must not saturate: 8 of them fit for codes of 4 bits
// (8 * 2 * 15 * 127 = 30480), 2 for codes of 6 bits (32004). Codes of 8 bits are multiplied as sign
// and size (2 * 128 * 127 = 32512).
#include <immintrin.h>

#include "kernels/functions.hpp"

namespace kwaai::kernels::avx2 {
namespace {

#include "kernels/records.hpp"

constexpr int kTileRows = kAvx2TileRows;

KWAAI_INLINE __m256i spread(const void* p) {
    int value;
    __builtin_memcpy(&value, p, sizeof value);
    return _mm256_set1_epi32(value);
}

KWAAI_INLINE __m256 halves(const std::uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

KWAAI_INLINE __m256i bytes(const std::uint8_t* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}

KWAAI_INLINE __m256i load256(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

// 32 k of half h of a panel, rows 8h .. 8h + 7.
struct Block {
    __m256i q[8];
    __m256 scale, second;
};

// Even blocks are the low nibbles, odd ones the high nibbles.
KWAAI_INLINE __m256i nibbles(__m256i x, int b) {
    const __m256i low = b % 2 == 0 ? x : _mm256_srli_epi16(x, 4);
    return _mm256_and_si256(low, _mm256_set1_epi8(15));
}

KWAAI_INLINE void load_nibbles(const std::uint8_t (*q)[64], int b, int h, Block& o) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v)
        o.q[v] = nibbles(load256(q[v] + 32 * h), b);
}

KWAAI_INLINE void load_scales(const Q4_K& w, int b, int h, Block& o) {
    const __m256i low = bytes(w.low[b] + 8 * h);
    const __m256i pair = bytes(w.high[b / 2] + 8 * h);
    const __m256i high = b % 2 == 0 ? pair : _mm256_srli_epi32(pair, 4);
    const __m256i m3 = _mm256_set1_epi32(3);
    const __m256i sc = _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)),
                                       _mm256_slli_epi32(_mm256_and_si256(high, m3), 4));
    const __m256i top = _mm256_and_si256(_mm256_srli_epi32(high, 2), m3);
    const __m256i mn = _mm256_or_si256(_mm256_srli_epi32(low, 4), _mm256_slli_epi32(top, 4));
    o.scale = _mm256_mul_ps(halves(w.d + 8 * h), _mm256_cvtepi32_ps(sc));
    // The half is negated, not the integer: -(dmin * 0) is -0 in the definition.
    const __m256 dmin = _mm256_xor_ps(halves(w.dmin + 8 * h), _mm256_set1_ps(-0.0f));
    o.second = _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(mn));
}

// Bits 4 and 5 of `high` on top of a nibble.
KWAAI_INLINE __m256i join(__m256i low, __m256i high) {
    return _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi8(0x30)));
}

KWAAI_INLINE __m256 scales(const Q6_K& w, const std::int8_t* sc, int h) {
    const __m128i packed = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(sc + 8 * h));
    return _mm256_mul_ps(_mm256_loadu_ps(w.d + 8 * h),
                         _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(packed)));
}

KWAAI_INLINE void load_sixes(const Q6_K& w, int b, int h, Block& o) {
    const Q6_K::Part& part = w.part[b / 2];
    const bool odd = b % 2 != 0;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
        const __m256i high = load256(part.v[v].high + 32 * h);
        o.q[v] = join(nibbles(load256(part.v[v].low[0] + 32 * h), b),
                      odd ? high : _mm256_slli_epi16(high, 4));
        o.q[v + 4] = join(nibbles(load256(part.v[v].low[1] + 32 * h), b),
                          odd ? _mm256_srli_epi16(high, 2) : _mm256_slli_epi16(high, 2));
    }
    o.scale = scales(w, part.sc[2 * (b % 2)], h);
    o.second = scales(w, part.sc[2 * (b % 2) + 1], h);
}

KWAAI_INLINE void load_wide(const Wide& w, int h, Block& o) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v)
        o.q[v] = load256(w.q[v] + 32 * h);
    o.scale = _mm256_loadu_ps(w.scale + 8 * h);
    o.second = _mm256_loadu_ps(w.second + 8 * h);
}

// Half h of block b of a record.
template <Format F>
KWAAI_INLINE void load(const Record<F>& w, int b, int h, Block& o) {
    o.second = _mm256_setzero_ps();
    if constexpr (F == Format::q4_0 || F == Format::q4_1) {
        load_nibbles(w.q, b, h, o);
        o.scale = halves(w.d[b] + 8 * h);
        if constexpr (F == Format::q4_1) o.second = halves(w.m[b] + 8 * h);
    } else if constexpr (F == Format::q8_0) {
#pragma GCC unroll 8
        for (int v = 0; v < 8; ++v)
            o.q[v] = load256(w.q[b][v] + 32 * h);
        o.scale = halves(w.d[b] + 8 * h);
    } else if constexpr (F == Format::q4_k) {
        load_nibbles(w.q[b / 2], b, h, o);
        load_scales(w, b, h, o);
    } else if constexpr (F == Format::q6_k) {
        load_sixes(w, b, h, o);
    } else {
        load_wide(w, h, o);
    }
}

// i32 sums of 32 k; the codes are below 16.
KWAAI_INLINE __m256i dot_nibbles(const __m256i* q, const std::int8_t* x) {
    __m256i s = _mm256_maddubs_epi16(q[0], spread(x));
    __m256i t = _mm256_maddubs_epi16(q[1], spread(x + 4));
#pragma GCC unroll 3
    for (int v = 2; v < 8; v += 2) {
        s = _mm256_add_epi16(s, _mm256_maddubs_epi16(q[v], spread(x + 4 * v)));
        t = _mm256_add_epi16(t, _mm256_maddubs_epi16(q[v + 1], spread(x + 4 * v + 4)));
    }
    return _mm256_madd_epi16(_mm256_add_epi16(s, t), _mm256_set1_epi16(1));
}

// i32 sums of 16 k; the codes are below 64.
KWAAI_INLINE __m256i dot_sixes(const __m256i* q, const std::int8_t* x) {
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i s = _mm256_add_epi16(_mm256_maddubs_epi16(q[0], spread(x)),
                                       _mm256_maddubs_epi16(q[1], spread(x + 4)));
    const __m256i t = _mm256_add_epi16(_mm256_maddubs_epi16(q[2], spread(x + 8)),
                                       _mm256_maddubs_epi16(q[3], spread(x + 12)));
    return _mm256_add_epi32(_mm256_madd_epi16(s, ones), _mm256_madd_epi16(t, ones));
}

// Codes of 8 bits: the size of code - 128 times the activation with its sign, so that the bias
// needs no correction. Size and sign are shared by the rows.
template <int M>
KWAAI_INLINE void add_bytes(const Block& w, const Act* a, __m256* sum) {
    __m256i s[M];
    for (__m256i& x : s)
        x = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) {
        const __m256i q = _mm256_xor_si256(w.q[v], _mm256_set1_epi8(-128));
        const __m256i size = _mm256_abs_epi8(q);
#pragma GCC unroll 4
        for (int m = 0; m < M; ++m) {
            const __m256i x = _mm256_sign_epi8(spread(a[m].q + 4 * v), q);
            const __m256i pairs = _mm256_maddubs_epi16(size, x);
            s[m] = _mm256_add_epi32(s[m], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        }
    }
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
        const __m256 scale = _mm256_mul_ps(w.scale, _mm256_set1_ps(a[m].scale));
        sum[m] = _mm256_add_ps(sum[m], _mm256_mul_ps(_mm256_cvtepi32_ps(s[m]), scale));
    }
}

template <Format F>
KWAAI_INLINE __m256 add_row(const Block& w, const Act& x, __m256 sum) {
    if constexpr (F == Format::q6_k) {
        const __m256i s = _mm256_add_epi32(dot_sixes(w.q, x.q), spread(&x.neg32[0]));
        const __m256i t = _mm256_add_epi32(dot_sixes(w.q + 4, x.q + 16), spread(&x.neg32[1]));
        const __m256 first = _mm256_mul_ps(_mm256_cvtepi32_ps(s), w.scale);
        const __m256 other = _mm256_mul_ps(_mm256_cvtepi32_ps(t), w.second);
        const __m256 both = _mm256_add_ps(first, other);
        return _mm256_add_ps(sum, _mm256_mul_ps(both, _mm256_set1_ps(x.scale)));
    } else {
        __m256i s;
        if constexpr (F == Format::u6)
            s = _mm256_add_epi32(dot_sixes(w.q, x.q), dot_sixes(w.q + 4, x.q + 16));
        else
            s = dot_nibbles(w.q, x.q);
        if constexpr (F == Format::q4_0) s = _mm256_add_epi32(s, spread(&x.neg8));
        const __m256 scale = _mm256_mul_ps(w.scale, _mm256_set1_ps(x.scale));
        __m256 value = _mm256_mul_ps(_mm256_cvtepi32_ps(s), scale);
        if constexpr (kHasAddend<F>) {
            const __m256 shift = _mm256_mul_ps(w.second, _mm256_set1_ps(x.scaled_sum));
            value = _mm256_add_ps(shift, value);
        }
        return _mm256_add_ps(sum, value);
    }
}

template <Format F, int M>
KWAAI_INLINE void add_block(const Block& w, const Act* a, __m256* sum) {
    if constexpr (F == Format::q8_0) {
        add_bytes<M>(w, a, sum);
    } else {
#pragma GCC unroll 4
        for (int m = 0; m < M; ++m)
            sum[m] = add_row<F>(w, a[m], sum[m]);
    }
}

template <int M>
KWAAI_INLINE void store(const Tile& t, int h, const __m256* sum) {
    for (int m = 0; m < M; ++m)
        _mm256_storeu_ps(t.out + static_cast<std::size_t>(m) * t.out_stride + 8 * h, sum[m]);
}

// Halves [first, first + N) of a panel in one pass.
template <Format F, int M, int N, bool kPrefetch>
KWAAI_INLINE void multiply_halves(
    const Record<F>* w, int records, const Tile& t, int first, int prefetch_bytes) {
    const Act* a = t.act;
    __m256 sum[N][M];
    for (int i = 0; i < N * M; ++i)
        sum[i / M][i % M] = _mm256_setzero_ps();
    for (int n = 0; n < records; ++n) {
#pragma GCC unroll 2
        for (int b = 0; b < kBlocks<F>; ++b, a += M) {
            if (kPrefetch) prefetch_block<F>(w + n, b, prefetch_bytes);
#pragma GCC unroll 2
            for (int h = 0; h < N; ++h) {
                Block block;
                load<F>(w[n], b, first + h, block);
                add_block<F, M>(block, a, sum[h]);
            }
        }
    }
    for (int h = 0; h < N; ++h)
        store<M>(t, first + h, sum[h]);
}

// Up to two rows take both halves of a record at once, so that memory is read in one pass; more
// rows take one half of the whole panel after the other (the second pass finds it in a cache) and
// keep their sums in registers.
template <Format F, int M, bool kPrefetch>
void multiply_tile(const Record<F>* w, int records, const Tile& t, int prefetch_bytes) {
    if constexpr (M <= 2) {
        multiply_halves<F, M, 2, kPrefetch>(w, records, t, 0, prefetch_bytes);
    } else {
        multiply_halves<F, M, 1, kPrefetch>(w, records, t, 0, prefetch_bytes);
        multiply_halves<F, M, 1, false>(w, records, t, 1, 0);
    }
}

template <Format F, int M>
void multiply_wide_tile(const Wide* w, int blocks, const Tile& t, bool resume) {
    for (int h = 0; h < 2; ++h) {
        const Act* a = t.act;
        __m256 sum[M];
        for (int m = 0; m < M; ++m) {
            const float* out = t.out + static_cast<std::size_t>(m) * t.out_stride + 8 * h;
            sum[m] = resume ? _mm256_loadu_ps(out) : _mm256_setzero_ps();
        }
        for (int b = 0; b < blocks; ++b, a += M) {
            Block block;
            load_wide(w[b], h, block);
            add_block<F, M>(block, a, sum);
        }
        store<M>(t, h, sum);
    }
}

template <Format F>
void widen_records(const Record<F>* w, int records, Wide* out) {
    for (int n = 0; n < records; ++n) {
#pragma GCC unroll 2
        for (int b = 0; b < kBlocks<F>; ++b, ++out) {
            for (int h = 0; h < 2; ++h) {
                Block block;
                load<F>(w[n], b, h, block);
                for (int v = 0; v < 8; ++v)
                    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out->q[v] + 32 * h), block.q[v]);
                _mm256_storeu_ps(out->scale + 8 * h, block.scale);
                _mm256_storeu_ps(out->second + 8 * h, block.second);
            }
        }
    }
}

}  // namespace

#include "kernels/matmul_body.hpp"

}  // namespace kwaai::kernels::avx2
