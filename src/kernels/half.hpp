// IEEE half precision in integer arithmetic: the definition that the conversions of the instruction
// sets equal.
#pragma once
#include <cstdint>

namespace kwaai::kernels {

/// Exact. A NaN keeps its payload.
constexpr float half_to_float(std::uint16_t half) {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
    const std::uint32_t exponent = (half >> 10) & 31u;
    const std::uint32_t fraction = half & 1023u;
    if (exponent == 0) {
        const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
        return sign != 0 ? -magnitude : magnitude;
    }
    const std::uint32_t high = exponent == 31 ? 0x7f800000u : (exponent + 112) << 23;
    return __builtin_bit_cast(float, sign | high | fraction << 13);
}

/// Rounds to nearest, ties to even; overflows to infinity; any NaN becomes the quiet NaN of its
/// sign.
constexpr std::uint16_t float_to_half(float value) {
    const auto bits = __builtin_bit_cast(std::uint32_t, value);
    const std::uint32_t sign = (bits >> 16) & 0x8000u;
    const std::uint32_t size = bits & 0x7fffffffu;
    std::uint32_t half = 0;
    if (size > 0x7f800000u) {
        half = 0x7e00u;
    } else if (size >= 0x477ff000u) {  // 65520: half way from the largest half to 2^16
        half = 0x7c00u;
    } else if (size >= 0x38800000u) {  // 2^-14: a normal half
        half = (size + 0xfffu + (size >> 13 & 1u) - 0x38000000u) >> 13;
    } else {  // adding 1/2 leaves the half's bits, rounded to even, at the bottom of the float
        const float shifted = __builtin_bit_cast(float, size) + 0.5f;
        half = __builtin_bit_cast(std::uint32_t, shifted) - 0x3f000000u;
    }
    return static_cast<std::uint16_t>(sign | half);
}

}  // namespace kwaai::kernels
