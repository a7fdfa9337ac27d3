// GPT-2's alphabet: one printable character for each byte value, in which byte-level vocabularies
// spell their tokens.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kwaai::inference {

/// The character of a byte: itself where it is printable in Latin-1, else U+0100 and up in order.
[[nodiscard]] std::uint32_t letter_of_byte(std::uint8_t byte);

/// The byte of a character of the alphabet.
[[nodiscard]] std::optional<std::uint8_t> byte_of_letter(std::uint32_t code);

/// Spells `bytes` in the alphabet.
[[nodiscard]] std::string spell_bytes(std::string_view bytes);

/// The bytes that `spelling` stands for; characters outside of the alphabet stand for themselves.
[[nodiscard]] std::string unspell_bytes(std::string_view spelling);

}  // namespace kwaai::inference
