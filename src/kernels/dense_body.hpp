// Operations on rows of activations, and products with unquantised weights. Included once per
// instruction set, after Lanes and kTileRows; definitions in docs/arithmetic.md.

namespace {

// 2^x for x <= 0, relative error 9e-8; below -100 (and for NaN) exactly 0, at 0 exactly 1. At -100
// the last bit of a product with the smallest half is still above 2^-149.
KWAAI_INLINE Lanes exp2_lanes(Lanes x) {
    const Lanes magic = Lanes::all(12582912.0f);  // 1.5 * 2^23
    const Lanes shifted = x + magic;              // the integer nearest to x in the low bits
    const Lanes f = x - (shifted - magic);        // -0.5 .. 0.5
    Lanes p = Lanes::all(0x1.44138ap-13f);
    p = p * f + Lanes::all(0x1.5f0890p-10f);
    p = p * f + Lanes::all(0x1.3b2a54p-7f);
    p = p * f + Lanes::all(0x1.c6af6cp-5f);
    p = p * f + Lanes::all(0x1.ebfbe0p-3f);
    p = p * f + Lanes::all(0x1.62e430p-1f);
    p = p * f + Lanes::all(1.0f);
    return Lanes::keep_at_least(x, -100.0f, Lanes::scale_exponent(p, shifted));
}

// 16 lanes of x from i on; past n zeros.
KWAAI_INLINE Lanes load_at(const float* x, int i, int n) {
    return n - i >= 16 ? Lanes::load(x + i) : Lanes::load_first(x + i, n - i);
}

// The same, and zeros where i is past n.
KWAAI_INLINE Lanes load_padded(const float* x, int i, int n) {
    return i < n ? load_at(x, i, n) : Lanes::all(0.0f);
}

KWAAI_INLINE void store_at(float* y, int i, int n, Lanes v) {
    if (n - i >= 16) return Lanes::store(y + i, v);
    Lanes::store_first(y + i, n - i, v);
}

KWAAI_INLINE Lanes finite(Lanes v) {
    return Lanes::keep_at_most(Lanes::absolute(v), __FLT_MAX__, v);
}

KWAAI_INLINE float largest_of(const float* x, int first, int last) {
    Lanes top = Lanes::all(0.0f);
    for (int i = first; i < last; i += 16)
        top = Lanes::max(top, Lanes::absolute(finite(load_at(x, i, last))));
    return Lanes::largest(top);
}

KWAAI_INLINE void quantise_block(Lanes a, Lanes b, float top, Act& out) {
    const Lanes inverse = Lanes::all(top > 0x1p-100f ? 127.0f / top : 0.0f);
    const Lanes magic = Lanes::all(12582912.0f);  // adding it rounds to an integer, ties to even
    const std::int32_t first = Lanes::store_codes(out.q, a * inverse + magic);
    const std::int32_t other = Lanes::store_codes(out.q + 16, b * inverse + magic);
    const std::int32_t sum = first + other;
    out.scale = top / 127.0f;
    out.scaled_sum = out.scale * static_cast<float>(sum);
    out.neg8 = -8 * sum;
    out.neg128 = -128 * sum;
    out.neg32[0] = -32 * first;
    out.neg32[1] = -32 * other;
    out.unused[0] = 0;
    out.unused[1] = 0;
}

// Weights [k][16] times M rows; the sums stay in registers.
template <int M, bool kPrefetch, class Weight>
void multiply_rows(const Weight* w, int k, const FloatTile& t) {
    Lanes sum[M];
    for (Lanes& s : sum)
        s = Lanes::all(0.0f);
    for (int i = 0; i < k; ++i) {
        const Weight* line = w + std::size_t{16} * static_cast<std::size_t>(i);
        const Lanes weights = Lanes::load(line);
        if (kPrefetch)
            __builtin_prefetch(reinterpret_cast<const char*>(line) + t.prefetch_bytes, 0, 2);
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) {
            const float x = t.x[static_cast<std::size_t>(m) * t.x_stride + i];
            sum[m] = sum[m] + Lanes::all(x) * weights;
        }
    }
    for (int m = 0; m < M; ++m)
        Lanes::store(t.out + static_cast<std::size_t>(m) * t.out_stride, sum[m]);
}

template <int M, class Weight>
void multiply_tile(const Weight* w, int k, const FloatTile& t) {
    if (t.rows == M) {
        if (t.prefetch_bytes > 0) return multiply_rows<M, true>(w, k, t);
        return multiply_rows<M, false>(w, k, t);
    }
    if constexpr (M > 1) multiply_tile<M - 1>(w, k, t);
}

}  // namespace

void multiply_float(Format format, const void* panel, int k, const FloatTile& t) {
    if (format == Format::f16)
        return multiply_tile<kTileRows>(static_cast<const std::uint16_t*>(panel), k, t);
    multiply_tile<kTileRows>(static_cast<const float*>(panel), k, t);
}

void quantise(const float* x, int k, int group, Act* out, std::size_t out_stride) {
    int first = 0;
    // A block whose scale is its own is loaded once: two passes are a quarter slower.
    for (; group == kBlock && k - first >= kBlock; first += kBlock, out += out_stride) {
        const Lanes a = finite(Lanes::load(x + first));
        const Lanes b = finite(Lanes::load(x + first + 16));
        const float top = Lanes::largest(Lanes::max(Lanes::absolute(a), Lanes::absolute(b)));
        quantise_block(a, b, top, *out);
    }
    for (; first < k; first += group) {
        const int last = k - first < group ? k : first + group;
        const float top = largest_of(x, first, last);
        for (int i = first; i < last; i += kBlock, out += out_stride)
            quantise_block(finite(load_at(x, i, k)), finite(load_padded(x, i + 16, k)), top, *out);
    }
}

void rms_norm(const float* x, const float* weight, float epsilon, int n, float* y) {
    Lanes squares = Lanes::all(0.0f);
    for (int i = 0; i < n; i += 16) {
        const Lanes v = load_at(x, i, n);
        squares = squares + v * v;
    }
    const float mean = Lanes::fold(squares) / static_cast<float>(n);
    const Lanes factor = Lanes::all(1.0f / __builtin_sqrtf(mean + epsilon));
    for (int i = 0; i < n; i += 16)
        store_at(y, i, n, load_at(x, i, n) * factor * load_at(weight, i, n));
}

// Lanes do not interact here, so the compiler may vectorise as it likes.
void rope(float* x, const float* cosine, const float* sine, int pairs, RopeLayout layout) {
    const int step = layout == RopeLayout::norm ? 2 : 1;
    const int other = layout == RopeLayout::norm ? 1 : pairs;
    for (int i = 0; i < pairs; ++i) {
        const float a = x[i * step];
        const float b = x[i * step + other];
        x[i * step] = a * cosine[i] - b * sine[i];
        x[i * step + other] = a * sine[i] + b * cosine[i];
    }
}

void silu_multiply(const float* gate, const float* up, int n, float* y) {
    for (int i = 0; i < n; i += 16) {
        const Lanes g = load_at(gate, i, n);
        // e = exp(-|g|): sigmoid(g) is 1 / (1 + e) for g >= 0 and e / (1 + e) below, never inf /
        // inf.
        const Lanes e = exp2_lanes(Lanes::absolute(g) * Lanes::all(-0x1.715476p+0f));
        const Lanes top = Lanes::max(Lanes::keep_at_least(g, 0.0f, Lanes::all(1.0f)), e);
        store_at(y, i, n, g * top / (Lanes::all(1.0f) + e) * load_at(up, i, n));
    }
}

void add(float* x, const float* y, int n) {
    for (int i = 0; i < n; ++i)
        x[i] = x[i] + y[i];
}

void scale(const float* x, float factor, int n, float* y) {
    for (int i = 0; i < n; ++i)
        y[i] = x[i] * factor;
}

void to_half(const float* x, int n, std::uint16_t* y) {
    for (int i = 0; i < n; i += 16) {
        Lanes v = load_at(x, i, n);
        v = Lanes::keep_at_most(Lanes::absolute(v), __builtin_inff(), v);  // NaN becomes 0
        v = Lanes::max(Lanes::min(v, Lanes::all(65504.0f)), Lanes::all(-65504.0f));
        if (n - i >= 16) {
            Lanes::store_halves(y + i, v);
            continue;
        }
        std::uint16_t rest[16];
        Lanes::store_halves(rest, v);
        for (int j = 0; j < n - i; ++j)
            y[i + j] = rest[j];
    }
}
