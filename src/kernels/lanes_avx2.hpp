// 16 floats as two AVX2 vectors; lanes_scalar.hpp says what each operation means. Included inside
// kwaai::kernels::avx2.

KWAAI_INLINE __m256 rounded_13(__m256 v) {
    const __m256i u = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 11), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x3ff)), odd);
    return _mm256_castsi256_ps(_mm256_and_si256(up, _mm256_set1_epi32(~0x7ff)));
}

KWAAI_INLINE __m256 with_exponent(__m256 p, __m256 shifted) {
    const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), n));
}

// The integers in the low bits of 1.5 * 2^23 + n.
KWAAI_INLINE __m256i codes_of(__m256 shifted) {
    return _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(0x4b400000));
}

KWAAI_INLINE __m128i packed_16(__m256i n) {
    return _mm_packs_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1));
}

struct Lanes {
    __m256 a, b;

    static KWAAI_INLINE Lanes all(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }

    static KWAAI_INLINE Lanes load(const float* p) {
        return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
    }

    static KWAAI_INLINE Lanes load(const std::uint16_t* p) {
        return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
                _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
    }

    static KWAAI_INLINE Lanes load_first(const float* p, int count) {
        float lanes[16] = {};
        for (int i = 0; i < count; ++i)
            lanes[i] = p[i];
        return load(lanes);
    }

    static KWAAI_INLINE void store(float* p, Lanes x) {
        _mm256_storeu_ps(p, x.a);
        _mm256_storeu_ps(p + 8, x.b);
    }

    static KWAAI_INLINE void store_first(float* p, int count, Lanes x) {
        float lanes[16];
        store(lanes, x);
        for (int i = 0; i < count; ++i)
            p[i] = lanes[i];
    }

    static KWAAI_INLINE void store_halves(std::uint16_t* p, Lanes x) {
        auto* to = reinterpret_cast<__m128i*>(p);
        _mm_storeu_si128(to, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
        _mm_storeu_si128(to + 1, _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
    }

    static KWAAI_INLINE std::int32_t store_codes(std::int8_t* p, Lanes shifted) {
        const __m256i m = codes_of(shifted.a);
        const __m256i n = codes_of(shifted.b);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                         _mm_packs_epi16(packed_16(m), packed_16(n)));
        const __m256i s = _mm256_add_epi32(m, n);
        __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
        t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4e));
        return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
    }

    friend KWAAI_INLINE Lanes operator+(Lanes x, Lanes y) {
        return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
    }

    friend KWAAI_INLINE Lanes operator-(Lanes x, Lanes y) {
        return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
    }

    friend KWAAI_INLINE Lanes operator*(Lanes x, Lanes y) {
        return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
    }

    friend KWAAI_INLINE Lanes operator/(Lanes x, Lanes y) {
        return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
    }

    static KWAAI_INLINE Lanes add_exact(Lanes s, Lanes x, Lanes y) {
        return {_mm256_fmadd_ps(x.a, y.a, s.a), _mm256_fmadd_ps(x.b, y.b, s.b)};
    }

    static KWAAI_INLINE Lanes max(Lanes x, Lanes y) {
        return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
    }

    static KWAAI_INLINE Lanes min(Lanes x, Lanes y) {
        return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
    }

    static KWAAI_INLINE Lanes absolute(Lanes x) {
        const __m256 sign = _mm256_set1_ps(-0.0f);
        return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
    }

    static KWAAI_INLINE Lanes keep_at_least(Lanes x, float limit, Lanes y) {
        const __m256 l = _mm256_set1_ps(limit);
        return {_mm256_and_ps(y.a, _mm256_cmp_ps(x.a, l, _CMP_GE_OQ)),
                _mm256_and_ps(y.b, _mm256_cmp_ps(x.b, l, _CMP_GE_OQ))};
    }

    static KWAAI_INLINE Lanes keep_at_most(Lanes x, float limit, Lanes y) {
        const __m256 l = _mm256_set1_ps(limit);
        return {_mm256_and_ps(y.a, _mm256_cmp_ps(x.a, l, _CMP_LE_OQ)),
                _mm256_and_ps(y.b, _mm256_cmp_ps(x.b, l, _CMP_LE_OQ))};
    }

    static KWAAI_INLINE Lanes round_13(Lanes x) { return {rounded_13(x.a), rounded_13(x.b)}; }

    static KWAAI_INLINE Lanes scale_exponent(Lanes p, Lanes shifted) {
        return {with_exponent(p.a, shifted.a), with_exponent(p.b, shifted.b)};
    }

    static KWAAI_INLINE float fold(Lanes x) {
        const __m256 e = _mm256_add_ps(x.a, x.b);
        __m128 f = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
        f = _mm_add_ps(f, _mm_movehl_ps(f, f));
        return _mm_cvtss_f32(_mm_add_ss(f, _mm_movehdup_ps(f)));
    }

    static KWAAI_INLINE float largest(Lanes x) {
        const __m256 e = _mm256_max_ps(x.a, x.b);
        __m128 f = _mm_max_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
        f = _mm_max_ps(f, _mm_movehl_ps(f, f));
        return _mm_cvtss_f32(_mm_max_ss(f, _mm_movehdup_ps(f)));
    }
};
