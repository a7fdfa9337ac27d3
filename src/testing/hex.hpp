// Bytes in tests, as hexadecimal text.
#pragma once
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/bytes.hpp"
#include "base/check.hpp"

namespace kwaai::testing {

/// The bytes of two digits each. Aborts where the text is no such thing: a mistake in the test.
[[nodiscard]] inline std::vector<std::byte> from_hex(std::string_view text) {
    KWAAI_CHECK(text.size() % 2 == 0, "hexadecimal text has two digits a byte");
    std::vector<std::byte> bytes;
    bytes.reserve(text.size() / 2);
    for (; !text.empty(); text.remove_prefix(2)) {
        unsigned value = 0;
        const char* const begin = text.data();
        const auto [stop, error] = std::from_chars(begin, begin + 2, value, 16);
        KWAAI_CHECK(error == std::errc() && stop == begin + 2, "no hexadecimal digit");
        bytes.push_back(static_cast<std::byte>(value));
    }
    return bytes;
}

/// In lower case.
[[nodiscard]] inline std::string to_hex(Bytes bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::byte byte : bytes) {
        text.push_back(kDigits[std::to_integer<unsigned>(byte) >> 4]);
        text.push_back(kDigits[std::to_integer<unsigned>(byte) & 15]);
    }
    return text;
}

}  // namespace kwaai::testing
