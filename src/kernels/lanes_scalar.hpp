// 16 floats as a plain array: what each operation on lanes means. Included inside
// kwaai::kernels::scalar. Every arithmetic operation is one rounded IEEE operation per lane.
//
// add_exact(s, a, b) = s + a * b is used only where the product is exact in f32 (13 significant
// bits times 11): there a fused multiply-add and a multiplication with an addition give the same
// bits.

struct Lanes {
    float f[16];

    static Lanes all(float value) {
        Lanes r;
        for (float& lane : r.f)
            lane = value;
        return r;
    }

    static Lanes load(const float* p) {
        Lanes r;
        __builtin_memcpy(r.f, p, sizeof r.f);
        return r;
    }

    static Lanes load(const std::uint16_t* p) {
        Lanes r;
        for (int i = 0; i < 16; ++i)
            r.f[i] = half_to_float(p[i]);
        return r;
    }

    // The first `count` floats, zeros after them.
    static Lanes load_first(const float* p, int count) {
        Lanes r = all(0.0f);
        for (int i = 0; i < count; ++i)
            r.f[i] = p[i];
        return r;
    }

    static void store(float* p, Lanes v) { __builtin_memcpy(p, v.f, sizeof v.f); }

    static void store_first(float* p, int count, Lanes v) {
        for (int i = 0; i < count; ++i)
            p[i] = v.f[i];
    }

    // Rounded to nearest, ties to even; |v| <= 65504.
    static void store_halves(std::uint16_t* p, Lanes v) {
        for (int i = 0; i < 16; ++i)
            p[i] = float_to_half(v.f[i]);
    }

    // Stores the integers in the low bits of 1.5 * 2^23 + n, |n| <= 127, as bytes; their sum.
    static std::int32_t store_codes(std::int8_t* p, Lanes shifted) {
        std::int32_t sum = 0;
        for (int i = 0; i < 16; ++i) {
            p[i] = static_cast<std::int8_t>(__builtin_bit_cast(std::uint32_t, shifted.f[i]) & 255u);
            sum += p[i];
        }
        return sum;
    }

    template <class F>
    static Lanes each(Lanes a, Lanes b, F apply) {
        for (int i = 0; i < 16; ++i)
            a.f[i] = apply(a.f[i], b.f[i]);
        return a;
    }

    friend Lanes operator+(Lanes a, Lanes b) {
        return each(a, b, [](float x, float y) { return x + y; });
    }

    friend Lanes operator-(Lanes a, Lanes b) {
        return each(a, b, [](float x, float y) { return x - y; });
    }

    friend Lanes operator*(Lanes a, Lanes b) {
        return each(a, b, [](float x, float y) { return x * y; });
    }

    friend Lanes operator/(Lanes a, Lanes b) {
        return each(a, b, [](float x, float y) { return x / y; });
    }

    static Lanes add_exact(Lanes s, Lanes a, Lanes b) { return s + a * b; }

    // The second operand where they are equal or one is NaN.
    static Lanes max(Lanes a, Lanes b) {
        return each(a, b, [](float x, float y) { return x > y ? x : y; });
    }

    static Lanes min(Lanes a, Lanes b) {
        return each(a, b, [](float x, float y) { return x < y ? x : y; });
    }

    static Lanes absolute(Lanes v) {
        for (float& lane : v.f)
            lane = __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, lane) & 0x7fffffffu);
        return v;
    }

    // v where a >= limit (a <= limit), +0 elsewhere, so where a is NaN.
    static Lanes keep_at_least(Lanes a, float limit, Lanes v) {
        return each(a, v, [limit](float x, float y) { return x >= limit ? y : 0.0f; });
    }

    static Lanes keep_at_most(Lanes a, float limit, Lanes v) {
        return each(a, v, [limit](float x, float y) { return x <= limit ? y : 0.0f; });
    }

    // Nearest float with 13 significant bits, ties to even.
    static Lanes round_13(Lanes v) {
        for (float& lane : v.f) {
            const auto u = __builtin_bit_cast(std::uint32_t, lane);
            lane = __builtin_bit_cast(float, (u + 0x3ffu + (u >> 11 & 1u)) & ~0x7ffu);
        }
        return v;
    }

    // p * 2^n, n the integer in the low bits of `shifted`; p and the result are normal.
    static Lanes scale_exponent(Lanes p, Lanes shifted) {
        return each(p, shifted, [](float x, float y) {
            const std::uint32_t n = __builtin_bit_cast(std::uint32_t, y) << 23;
            return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, x) + n);
        });
    }

    // 16 lanes folded 8, 4, 2, 1: the one order in which lanes are ever added.
    static float fold(Lanes v) {
        for (int n = 8; n > 0; n /= 2) {
            for (int i = 0; i < n; ++i)
                v.f[i] = v.f[i] + v.f[i + n];
        }
        return v.f[0];
    }

    static float largest(Lanes v) {
        float top = v.f[0];
        for (float lane : v.f)
            top = lane > top ? lane : top;
        return top;
    }
};
