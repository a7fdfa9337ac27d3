#include "inference/byte_alphabet.hpp"

#include <array>

#include "base/utf8.hpp"

namespace kwaai::inference {
namespace {

constexpr std::uint32_t kFirstShifted = 0x100;
constexpr std::uint32_t kShiftedCount = 68;  // bytes that are not printable

constexpr bool is_printable(std::uint32_t byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
    std::array<std::uint32_t, 256> letters{};
    std::array<std::uint8_t, kShiftedCount> shifted{};
};

constexpr Alphabet kAlphabet = [] {
    Alphabet alphabet;
    std::uint32_t shifted = 0;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        if (is_printable(byte)) {
            alphabet.letters[byte] = byte;
        } else {
            alphabet.letters[byte] = kFirstShifted + shifted;
            alphabet.shifted[shifted++] = static_cast<std::uint8_t>(byte);
        }
    }
    return alphabet;
}();

}  // namespace

std::uint32_t letter_of_byte(std::uint8_t byte) {
    return kAlphabet.letters[byte];
}

std::optional<std::uint8_t> byte_of_letter(std::uint32_t code) {
    if (code < 0x100 && is_printable(code)) return static_cast<std::uint8_t>(code);
    if (code >= kFirstShifted && code < kFirstShifted + kShiftedCount)
        return kAlphabet.shifted[code - kFirstShifted];
    return std::nullopt;
}

std::string spell_bytes(std::string_view bytes) {
    std::string spelling;
    spelling.reserve(bytes.size() * 2);
    for (const char byte : bytes)
        append_utf8(spelling, letter_of_byte(static_cast<std::uint8_t>(byte)));
    return spelling;
}

std::string unspell_bytes(std::string_view spelling) {
    std::string bytes;
    while (!spelling.empty()) {
        const Utf8Step step = decode_utf8(spelling);
        if (const auto byte = byte_of_letter(step.code))
            bytes.push_back(static_cast<char>(*byte));
        else
            bytes += spelling.substr(0, step.size);
        spelling.remove_prefix(step.size);
    }
    return bytes;
}

}  // namespace kwaai::inference
