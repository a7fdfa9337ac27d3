// UTF-8, one code point at a time; invalid bytes are reported, never assumed away.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace kwaai {

/// One decoded step: `code` is 0xFFFFFFFF where the bytes at this place are not UTF-8 (then `size`
/// is 1).
struct Utf8Step {
    static constexpr std::uint32_t kInvalid = 0xFFFFFFFFu;
    std::uint32_t code;
    unsigned size;  ///< bytes consumed, 1..4
};

/// Decodes the code point at the start of `text`, which must not be empty. Overlong forms,
/// surrogates and values above U+10FFFF are invalid.
[[nodiscard]] Utf8Step decode_utf8(std::string_view text);

/// Appends `code` (a valid scalar value) to `out`.
void append_utf8(std::string& out, std::uint32_t code);

[[nodiscard]] bool is_utf8(std::string_view text);

/// How many trailing bytes of `text` (0..3) are the beginning of a code point whose rest is
/// missing.
[[nodiscard]] unsigned incomplete_utf8_tail(std::string_view text);

/// `text` with every invalid byte replaced by U+FFFD.
[[nodiscard]] std::string replace_invalid_utf8(std::string_view text);

}  // namespace kwaai
