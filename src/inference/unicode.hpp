// The properties of code points that pre-tokenizers ask for.
#pragma once
#include <cstdint>
#include <span>

namespace kwaai::inference {

/// A set of properties as bits: the general categories L, N, P, S and M and the property
/// White_Space.
using UnicodeClass = std::uint8_t;
inline constexpr UnicodeClass kLetter = 1;
inline constexpr UnicodeClass kNumber = 2;
inline constexpr UnicodeClass kPunctuation = 4;
inline constexpr UnicodeClass kSymbol = 8;
inline constexpr UnicodeClass kMark = 16;
inline constexpr UnicodeClass kWhiteSpace = 32;

/// The class of a code point; none for unassigned ones, controls, and anything above U+10FFFF.
/// ASCII by table, others by binary search.
[[nodiscard]] UnicodeClass unicode_class(std::uint32_t code);

/// The table behind it: runs of code points with equal classes, in order, each as first code
/// point << 8 | class.
[[nodiscard]] std::span<const std::uint32_t> unicode_runs();

}  // namespace kwaai::inference
