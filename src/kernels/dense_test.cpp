#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/half.hpp"
#include "kernels/test_data.hpp"

namespace kwaai::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kLargest = std::numeric_limits<float>::max();

// Values of every size and kind, so that a wrong rounding or comparison shows.
std::vector<float> hostile_values(std::size_t count, TestRandom& random) {
    std::vector<float> x = random.values(count);
    const float special[] = {0.0f,     -0.0f,      kInfinity, -kInfinity, kNan,
                             kLargest, -kLargest,  1e-45f,    -1e-40f,    0x1p-100f,
                             65504.0f, 65519.9f,   65520.0f,  -70000.0f,  0x1p-24f,
                             0x1p-25f, 0x1.8p-24f, 6.1e-5f,   0.5f,       127.0f};
    for (float& v : x) {
        const std::uint32_t kind = random.bits() % 8;
        if (kind == 0) v = special[random.bits() % std::size(special)];
        if (kind == 1) v = std::ldexp(v, static_cast<int>(random.bits() % 250) - 125);
    }
    return x;
}

bool same(const Act& a, const Act& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

std::vector<Act> quantised(const Isa& isa,
                           const std::vector<float>& x,
                           int group,
                           std::size_t stride) {
    const std::size_t blocks = (x.size() + 31) / 32;
    std::vector<Act> out((blocks - 1) * stride + 1);
    isa.quantise(x.data(), static_cast<int>(x.size()), group, out.data(), stride);
    return out;
}

// The definition in the words of docs/arithmetic.md, one value after the other.
Act quantised_block(std::span<const float> x, std::size_t block, std::size_t group) {
    const auto value = [&](std::size_t i) {
        return i < x.size() && std::isfinite(x[i]) ? x[i] : 0.0f;
    };
    const std::size_t first = block * 32;
    float top = 0;
    for (std::size_t i = 0; i < group; ++i)
        top = std::fmax(top, std::fabs(value(first / group * group + i)));
    const float inverse = top > 0x1p-100f ? 127.0f / top : 0.0f;
    Act act{};
    int sum[2] = {0, 0};
    for (std::size_t i = 0; i < 32; ++i) {
        act.q[i] = static_cast<std::int8_t>(std::lrint(value(first + i) * inverse));
        sum[i / 16] += act.q[i];
    }
    act.scale = top / 127.0f;
    act.scaled_sum = act.scale * static_cast<float>(sum[0] + sum[1]);
    act.neg8 = -8 * (sum[0] + sum[1]);
    act.neg128 = -128 * (sum[0] + sum[1]);
    act.neg32[0] = -32 * sum[0];
    act.neg32[1] = -32 * sum[1];
    return act;
}

TEST_CASE("the quantiser rounds to nearest even and takes what is not finite as zero") {
    TestRandom random(3);
    for (std::size_t k = 1; k <= 600; k += k < 130 ? 1 : 37) {
        CAPTURE(k);
        const auto x = k % 2 == 0 ? hostile_values(k, random) : random.values(k);
        for (const Isa* isa : available_tables()) {
            CAPTURE(isa->name);
            for (const int group : {kBlock, kSuperBlock}) {
                CAPTURE(group);
                const auto got = quantised(*isa, x, group, 3);
                for (std::size_t b = 0; b * 32 < k; ++b)
                    CHECK(same(got[b * 3], quantised_block(x, b, static_cast<std::size_t>(group))));
            }
        }
    }
}

TEST_CASE("a block of ties is rounded to even codes") {
    std::vector<float> x(32, 0.0f);
    x[0] = 127.0f;
    x[1] = 0.5f;
    x[2] = 1.5f;
    x[3] = -2.5f;
    for (const Isa* isa : available_tables()) {
        const Act act = quantised(*isa, x, kBlock, 1)[0];
        CHECK(act.q[0] == 127);
        CHECK(act.q[1] == 0);
        CHECK(act.q[2] == 2);
        CHECK(act.q[3] == -2);
        CHECK(act.scale == 1.0f);
        CHECK(act.neg8 == -8 * 127);
    }
}

// Runs `op` of every table on the same inputs; CHECKs equal bits with scalar and returns scalar's.
template <class Op>
std::vector<float> run_all(std::size_t size, const Op& op) {
    std::vector<float> want;
    for (const Isa* isa : available_tables()) {
        CAPTURE(isa->name);
        std::vector<float> got(size + 1, -7.0f);
        op(*isa, got.data());
        CHECK(got[size] == -7.0f);  // nothing is written past the end
        got.resize(size);
        if (want.empty()) want = got;
        CHECK(same_bits(got, want));
    }
    return want;
}

TEST_CASE("rms_norm has the same bits everywhere and normalises") {
    TestRandom random(5);
    std::uint64_t hash = hash_bits({});
    for (const int n : {1, 2, 15, 16, 17, 31, 48, 100, 576, 2048}) {
        CAPTURE(n);
        const auto x = random.values(static_cast<std::size_t>(n));
        const auto weight = random.values(static_cast<std::size_t>(n));
        const auto y = run_all(static_cast<std::size_t>(n), [&](const Isa& isa, float* out) {
            isa.rms_norm(x.data(), weight.data(), 1e-5f, n, out);
        });
        double squares = 0;
        for (const float v : x)
            squares += static_cast<double>(v) * v;
        const double factor = 1 / std::sqrt(squares / n + 1e-5);
        for (std::size_t i = 0; i < y.size(); ++i) {
            const double want = x[i] * factor * weight[i];
            CHECK(std::fabs(y[i] - want) <= 1e-6 * std::fabs(want));
        }
        hash = hash_bits(y, hash);
    }
    MESSAGE("rms_norm: " << hash);
    CHECK(hash == 11797969827801088610u);
}

TEST_CASE("rope turns pairs in both layouts") {
    TestRandom random(6);
    std::uint64_t hash = hash_bits({});
    for (const int pairs : {1, 3, 8, 16, 20, 32, 64}) {
        const auto size = static_cast<std::size_t>(2 * pairs);
        const auto x = random.values(size);
        // Not a rotation, but exact inputs on every machine; libm's cosine is not.
        const auto cosine = random.values(static_cast<std::size_t>(pairs));
        const auto sine = random.values(static_cast<std::size_t>(pairs));
        for (const RopeLayout layout : {RopeLayout::norm, RopeLayout::neox}) {
            const auto y = run_all(size, [&](const Isa& isa, float* out) {
                std::copy(x.begin(), x.end(), out);
                isa.rope(out, cosine.data(), sine.data(), pairs, layout);
            });
            for (int i = 0; i < pairs; ++i) {
                const int a = layout == RopeLayout::norm ? 2 * i : i;
                const int b = layout == RopeLayout::norm ? 2 * i + 1 : i + pairs;
                const double c = cosine[i];
                const double s = sine[i];
                CHECK(std::fabs(y[a] - (x[a] * c - x[b] * s)) < 2e-7);
                CHECK(std::fabs(y[b] - (x[a] * s + x[b] * c)) < 2e-7);
            }
            hash = hash_bits(y, hash);
        }
    }
    MESSAGE("rope: " << hash);
    CHECK(hash == 7955051249142652901u);
}

TEST_CASE("silu_multiply has the same bits everywhere and follows x / (1 + exp(-x))") {
    TestRandom random(8);
    std::uint64_t hash = hash_bits({});
    double worst = 0;
    for (const std::size_t n : {1u, 15u, 16u, 33u, 4096u}) {
        auto gate = random.values(n);
        const auto up = random.values(n);
        for (std::size_t i = 0; i < n; ++i)
            gate[i] *= i % 3 == 0 ? 60.0f : 4.0f;
        if (n > 16) {
            gate[0] = 0.0f;
            gate[1] = -0.0f;
            gate[2] = 200.0f;
            gate[3] = -200.0f;
            gate[4] = kLargest;
            gate[5] = -kLargest;
        }
        const auto y = run_all(n, [&](const Isa& isa, float* out) {
            isa.silu_multiply(gate.data(), up.data(), static_cast<int>(n), out);
        });
        for (std::size_t i = 0; i < n; ++i) {
            const double want = gate[i] / (1 + std::exp(-static_cast<double>(gate[i]))) * up[i];
            if (std::fabs(gate[i]) < 60 && want != 0)
                worst = std::fmax(worst, std::fabs(y[i] - want) / std::fabs(want));
            CHECK(std::isfinite(y[i]));
        }
        hash = hash_bits(y, hash);
    }
    MESSAGE("silu_multiply: " << hash << ", largest relative error " << worst);
    CHECK(worst < 5e-6);
    CHECK(hash == 6284097215699488232u);
}

TEST_CASE("add and scale work in place and leave the rest alone") {
    TestRandom random(9);
    for (const int n : {1, 7, 16, 100}) {
        const auto x = random.values(static_cast<std::size_t>(n));
        const auto y = random.values(static_cast<std::size_t>(n));
        const auto sum = run_all(x.size(), [&](const Isa& isa, float* out) {
            std::copy(x.begin(), x.end(), out);
            isa.add(out, y.data(), n);
        });
        const auto scaled = run_all(x.size(), [&](const Isa& isa, float* out) {
            std::copy(x.begin(), x.end(), out);
            isa.scale(out, 0.3f, n, out);
        });
        for (std::size_t i = 0; i < x.size(); ++i) {
            CHECK(sum[i] == x[i] + y[i]);
            CHECK(scaled[i] == x[i] * 0.3f);
        }
    }
}

TEST_CASE("to_half rounds to even, saturates and takes NaN as zero") {
    TestRandom random(10);
    for (const std::size_t n : {1u, 15u, 16u, 17u, 5000u}) {
        const auto x = hostile_values(n, random);
        for (const Isa* isa : available_tables()) {
            CAPTURE(isa->name);
            std::vector<std::uint16_t> got(n + 1, 0x1234);
            isa->to_half(x.data(), static_cast<int>(n), got.data());
            CHECK(got[n] == 0x1234);
            for (std::size_t i = 0; i < n; ++i) {
                std::uint16_t want = float_to_half(x[i]);
                if ((want & 0x7fff) == 0x7c00) want = static_cast<std::uint16_t>(want - 1);
                if (std::isnan(x[i])) want = 0;
                CHECK(got[i] == want);
            }
        }
    }
}

TEST_CASE("every half survives the way to f32 and back, and midpoints go to even") {
    for (std::uint32_t h = 0; h < 0x10000; ++h) {
        const auto half = static_cast<std::uint16_t>(h);
        const float value = half_to_float(half);
        if ((half & 0x7fff) > 0x7c00) {
            REQUIRE(std::isnan(value));
            continue;
        }
        REQUIRE(float_to_half(value) == half);
        if ((half & 0x7fff) >= 0x7bff) continue;
        // Half way to the next half of the same sign, then a float step to either side.
        const float next = half_to_float(static_cast<std::uint16_t>(half + 1));
        const float middle = (value + next) / 2;
        const auto even = static_cast<std::uint16_t>(half + (half & 1));
        REQUIRE(float_to_half(middle) == even);
        REQUIRE(float_to_half(std::nextafter(middle, value)) == half);
        REQUIRE(float_to_half(std::nextafter(middle, next)) == half + 1);
    }
}

}  // namespace
}  // namespace kwaai::kernels
