#include "inference/portable_math.hpp"

#include <bit>
#include <cstdint>

namespace kwaai::inference {
namespace {

constexpr double kLn2 = 0.69314718055994530942;
constexpr double kLog2E = 1.4426950408889634074;
constexpr double kRoundToInteger =
    0x1.8p52;  // adding and subtracting it rounds |x| < 2^51 to nearest even

double power_of_two(std::int64_t n) {
    return std::bit_cast<double>(static_cast<std::uint64_t>(n + 1023) << 52);
}

}  // namespace

double portable_exp2(double x) {
    if (x < -1000) return 0;
    if (x > 1000) x = 1000;
    const double whole = (x + kRoundToInteger) - kRoundToInteger;
    const double t = (x - whole) * kLn2;  // |t| <= 0.35: 16 Taylor terms leave 1e-19
    double sum = 1;
    for (int n = 16; n >= 1; --n)
        sum = 1 + sum * t / n;
    return sum * power_of_two(static_cast<std::int64_t>(whole));
}

double portable_exp(double x) {
    return portable_exp2(x * kLog2E);
}

double portable_log2(double x) {
    const auto bits = std::bit_cast<std::uint64_t>(x);
    auto exponent = static_cast<std::int64_t>(bits >> 52) - 1023;
    double m = std::bit_cast<double>((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
    if (m > 1.41421356237309504880) {
        m /= 2;
        ++exponent;
    }
    // log(m) = 2 atanh(s), s = (m - 1) / (m + 1), s^2 < 0.0295: 13 terms leave 1e-21.
    const double s = (m - 1) / (m + 1);
    const double square = s * s;
    double sum = 0;
    for (int n = 25; n >= 1; n -= 2)
        sum = sum * square + 1.0 / n;
    return static_cast<double>(exponent) + 2 * s * sum * kLog2E;
}

double portable_log(double x) {
    return portable_log2(x) * kLn2;
}

SineCosine portable_sine_cosine(double angle) {
    // pi/2 in three parts of 33 bits or less: n * part is exact for |n| < 2^20 (Cody and Waite).
    constexpr double kHigh = 0x1.921fb544p0;
    constexpr double kMiddle = 0x1.0b4611a6p-34;
    constexpr double kLow = 0x1.3198a2e037073p-69;
    constexpr double kTwoOverPi = 0.63661977236758134308;
    const double n = (angle * kTwoOverPi + kRoundToInteger) - kRoundToInteger;
    const double r = ((angle - n * kHigh) - n * kMiddle) - n * kLow;
    const double square = r * r;
    // |r| <= pi/4: Taylor to r^19 and r^18 leaves 1e-22.
    double sine = 1;
    double cosine = 1;
    for (int k = 19; k >= 3; k -= 2)
        sine = 1 - sine * square / (k * (k - 1));
    for (int k = 18; k >= 2; k -= 2)
        cosine = 1 - cosine * square / (k * (k - 1));
    sine *= r;
    switch (static_cast<std::int64_t>(n) & 3) {
        case 0: return {sine, cosine};
        case 1: return {cosine, -sine};
        case 2: return {-sine, -cosine};
        default: return {-cosine, sine};
    }
}

}  // namespace kwaai::inference
