// Hexadecimal text in tests.
#pragma once
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "base/bytes.hpp"

namespace kwaai::crypto {

[[nodiscard]] inline std::vector<std::byte> from_hex(std::string_view text) {
    std::vector<std::byte> bytes;
    REQUIRE(text.size() % 2 == 0);
    for (; !text.empty(); text.remove_prefix(2)) {
        unsigned value = 0;
        const auto [stop, error] = std::from_chars(text.data(), text.data() + 2, value, 16);
        REQUIRE(error == std::errc());
        REQUIRE(stop == text.data() + 2);
        bytes.push_back(static_cast<std::byte>(value));
    }
    return bytes;
}

[[nodiscard]] inline std::string hex(Bytes bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const std::byte byte : bytes) {
        text.push_back(kDigits[std::to_integer<unsigned>(byte) >> 4]);
        text.push_back(kDigits[std::to_integer<unsigned>(byte) & 15]);
    }
    return text;
}

}  // namespace kwaai::crypto
