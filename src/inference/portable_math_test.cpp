#include "inference/portable_math.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>

#include <doctest/doctest.h>

#include "base/random.hpp"

namespace kwaai::inference {
namespace {

double relative(double value, double expected) {
    return std::abs(value / expected - 1);
}

TEST_CASE("exp2, exp and log2 agree with the C library to a few units in the last place") {
    CounterRandom random(1);
    for (int i = 0; i < 20000; ++i) {
        const double x = random.next_unit() * 1400 - 700;
        CHECK(relative(portable_exp2(x), std::exp2(x)) < 5e-16);
        CHECK(relative(portable_exp(x / 2), std::exp(x / 2)) < 2e-13);
        const double y = std::exp2(x);
        CHECK(std::abs(portable_log2(y) - std::log2(y)) <= 1e-15 * std::max(1.0, std::abs(x)));
    }
    CHECK(portable_exp2(0) == 1);
    CHECK(portable_exp2(-2000) == 0);
    CHECK(portable_log2(8) == 3);
    CHECK(portable_log2(1) == 0);
}

TEST_CASE("sine and cosine stay exact over a million radians") {
    CounterRandom random(2);
    for (int i = 0; i < 20000; ++i) {
        const double angle = (random.next_unit() - 0.5) * (i % 2 == 0 ? 20 : 2e6);
        const SineCosine both = portable_sine_cosine(angle);
        CHECK(std::abs(both.sine - std::sin(angle)) < 1e-15);
        CHECK(std::abs(both.cosine - std::cos(angle)) < 1e-15);
    }
    CHECK(portable_sine_cosine(0).cosine == 1);
    CHECK(portable_sine_cosine(0).sine == 0);
}

TEST_CASE("the bits are the same on every system and compiler") {
    CounterRandom random(3);
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (int i = 0; i < 4096; ++i) {
        const double x = random.next_unit() * 100 - 50;
        const SineCosine both = portable_sine_cosine(x);
        for (const double value :
             {portable_exp2(x), portable_exp(x), portable_log2(x + 51), both.sine, both.cosine})
            hash = (hash ^ std::bit_cast<std::uint64_t>(value)) * 0x100000001b3u;
    }
    CHECK(hash == 6747203002074222350u);
}

}  // namespace
}  // namespace kwaai::inference
