// 16 floats as one AVX-512 vector; lanes_scalar.hpp says what each operation means. Included inside
// kwaai::kernels::avx512.

struct Lanes {
    __m512 v;

    static KWAAI_INLINE Lanes all(float x) { return {_mm512_set1_ps(x)}; }

    static KWAAI_INLINE Lanes load(const float* p) { return {_mm512_loadu_ps(p)}; }

    static KWAAI_INLINE Lanes load(const std::uint16_t* p) {
        return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
    }

    static KWAAI_INLINE Lanes load_first(const float* p, int count) {
        return {_mm512_maskz_loadu_ps(first(count), p)};
    }

    static KWAAI_INLINE void store(float* p, Lanes x) { _mm512_storeu_ps(p, x.v); }

    static KWAAI_INLINE void store_first(float* p, int count, Lanes x) {
        _mm512_mask_storeu_ps(p, first(count), x.v);
    }

    static KWAAI_INLINE void store_halves(std::uint16_t* p, Lanes x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                            _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }

    static KWAAI_INLINE std::int32_t store_codes(std::int8_t* p, Lanes shifted) {
        const __m512i n =
            _mm512_sub_epi32(_mm512_castps_si512(shifted.v), _mm512_set1_epi32(0x4b400000));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(n));
        return _mm512_reduce_add_epi32(n);
    }

    friend KWAAI_INLINE Lanes operator+(Lanes x, Lanes y) { return {_mm512_add_ps(x.v, y.v)}; }

    friend KWAAI_INLINE Lanes operator-(Lanes x, Lanes y) { return {_mm512_sub_ps(x.v, y.v)}; }

    friend KWAAI_INLINE Lanes operator*(Lanes x, Lanes y) { return {_mm512_mul_ps(x.v, y.v)}; }

    friend KWAAI_INLINE Lanes operator/(Lanes x, Lanes y) { return {_mm512_div_ps(x.v, y.v)}; }

    static KWAAI_INLINE Lanes add_exact(Lanes s, Lanes x, Lanes y) {
        return {_mm512_fmadd_ps(x.v, y.v, s.v)};
    }

    static KWAAI_INLINE Lanes max(Lanes x, Lanes y) { return {_mm512_max_ps(x.v, y.v)}; }

    static KWAAI_INLINE Lanes min(Lanes x, Lanes y) { return {_mm512_min_ps(x.v, y.v)}; }

    static KWAAI_INLINE Lanes absolute(Lanes x) { return {_mm512_abs_ps(x.v)}; }

    static KWAAI_INLINE Lanes keep_at_least(Lanes x, float limit, Lanes y) {
        const __mmask16 kept = _mm512_cmp_ps_mask(x.v, _mm512_set1_ps(limit), _CMP_GE_OQ);
        return {_mm512_maskz_mov_ps(kept, y.v)};
    }

    static KWAAI_INLINE Lanes keep_at_most(Lanes x, float limit, Lanes y) {
        const __mmask16 kept = _mm512_cmp_ps_mask(x.v, _mm512_set1_ps(limit), _CMP_LE_OQ);
        return {_mm512_maskz_mov_ps(kept, y.v)};
    }

    static KWAAI_INLINE Lanes round_13(Lanes x) {
        const __m512i u = _mm512_castps_si512(x.v);
        const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 11), _mm512_set1_epi32(1));
        const __m512i up = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x3ff)), odd);
        return {_mm512_castsi512_ps(_mm512_and_si512(up, _mm512_set1_epi32(~0x7ff)))};
    }

    static KWAAI_INLINE Lanes scale_exponent(Lanes p, Lanes shifted) {
        const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23);
        return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p.v), n))};
    }

    static KWAAI_INLINE float fold(Lanes x) {
        const __m256 e = _mm256_add_ps(_mm512_castps512_ps256(x.v), _mm512_extractf32x8_ps(x.v, 1));
        __m128 f = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
        f = _mm_add_ps(f, _mm_movehl_ps(f, f));
        return _mm_cvtss_f32(_mm_add_ss(f, _mm_movehdup_ps(f)));
    }

    static KWAAI_INLINE float largest(Lanes x) { return _mm512_reduce_max_ps(x.v); }

    static KWAAI_INLINE __mmask16 first(int count) {
        return static_cast<__mmask16>((1u << count) - 1u);
    }
};
