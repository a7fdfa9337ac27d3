// Arithmetic on sizes that come from outside: every product and sum says when it does not fit.
#pragma once
#include <concepts>
#include <limits>
#include <optional>

namespace kwaai {

/// a + b, or nothing when it overflows T.
template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, T b) {
    T sum{};
    if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
    return sum;
}

/// a * b, or nothing when it overflows T.
template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_mul(T a, T b) {
    T product{};
    if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
    return product;
}

/// `value` as a To, or nothing when To cannot hold it.
template <std::integral To, std::integral From>
[[nodiscard]] constexpr std::optional<To> checked_cast(From value) {
    To result{};
    if (__builtin_add_overflow(value, From{0}, &result)) return std::nullopt;
    return result;
}

/// `value` rounded up to a multiple of `step` (a power of two or not, > 0), or nothing when it
/// overflows.
template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_round_up(T value, T step) {
    const auto raised = checked_add(value, static_cast<T>(step - 1));
    if (!raised) return std::nullopt;
    return static_cast<T>(*raised / step * step);
}

/// `value` rounded up to a multiple of `step`; for numbers of our own that cannot overflow.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T round_up(T value, T step) {
    return static_cast<T>((value + step - 1) / step * step);
}

}  // namespace kwaai
