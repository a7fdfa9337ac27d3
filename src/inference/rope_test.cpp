#include "inference/rope.hpp"

#include <cmath>

#include <doctest/doctest.h>

namespace kwaai::inference {
namespace {

// The frequency of a pair, read back from the angle at position 1.
double frequency(const Rope& rope, std::size_t pair) {
    std::vector<float> cosine(rope.pairs());
    std::vector<float> sine(rope.pairs());
    rope.at(1, cosine.data(), sine.data());
    return std::atan2(static_cast<double>(sine[pair]), static_cast<double>(cosine[pair]));
}

TEST_CASE("frequencies fall from 1 by the base") {
    const Rope rope({.base = 10000, .dimensions = 64});
    REQUIRE(rope.pairs() == 32);
    for (std::size_t pair = 0; pair < 32; ++pair)
        CHECK(frequency(rope, pair) ==
              doctest::Approx(std::pow(10000.0, -static_cast<double>(pair) / 32)));
}

TEST_CASE("linear scaling divides all, factors divide each") {
    const Rope linear(
        {.base = 10000, .dimensions = 8, .scaling = RopeScaling::linear, .factor = 4});
    CHECK(frequency(linear, 0) == doctest::Approx(0.25));
    const Rope factors({.base = 10000, .dimensions = 4, .factors = {2, 5}});
    CHECK(frequency(factors, 0) == doctest::Approx(0.5));
    CHECK(frequency(factors, 1) == doctest::Approx(0.01 / 5));
}

TEST_CASE("Llama 3 scaling keeps short wavelengths, divides long ones and blends between") {
    const RopeConfig config{.base = 500000,
                            .dimensions = 128,
                            .scaling = RopeScaling::llama3,
                            .factor = 8,
                            .low_frequency_factor = 1,
                            .high_frequency_factor = 4,
                            .original_context = 8192};
    const Rope rope(config);
    const auto plain = [&](std::size_t pair) {
        return rope_frequency(500000, static_cast<std::uint32_t>(pair), 128);
    };
    CHECK(frequency(rope, 0) == doctest::Approx(1.0));
    CHECK(frequency(rope, 20) == doctest::Approx(plain(20)));
    CHECK(frequency(rope, 63) == doctest::Approx(plain(63) / 8));
    const double wavelength = 6.283185307179586 / plain(32);  // about 4443: between 2048 and 8192
    const double smooth = (8192 / wavelength - 1) / 3;
    CHECK(frequency(rope, 32) ==
          doctest::Approx((1 - smooth) * plain(32) / 8 + smooth * plain(32)));
}

TEST_CASE("YaRN keeps fast pairs, divides slow ones and scales the magnitude") {
    const Rope rope({.base = 10000,
                     .dimensions = 128,
                     .scaling = RopeScaling::yarn,
                     .factor = 16,
                     .original_context = 4096});
    CHECK(frequency(rope, 0) == doctest::Approx(1.0));
    CHECK(frequency(rope, 63) == doctest::Approx(rope_frequency(10000, 63, 128) / 16));
    std::vector<float> cosine(64);
    std::vector<float> sine(64);
    rope.at(0, cosine.data(), sine.data());
    CHECK(cosine[0] == doctest::Approx(1 + 0.1 * std::log(16.0)));
}

}  // namespace
}  // namespace kwaai::inference
