#include "inference/unicode.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace kwaai::inference {
namespace {

constexpr UnicodeClass ascii_class(std::uint32_t code) {
    if ((code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z')) return kLetter;
    if (code >= '0' && code <= '9') return kNumber;
    if (code == ' ' || (code >= 0x09 && code <= 0x0D)) return kWhiteSpace;
    for (const char symbol : {'$', '+', '<', '=', '>', '^', '`', '|', '~'})
        if (code == static_cast<unsigned char>(symbol)) return kSymbol;
    return code > ' ' && code < 0x7F ? kPunctuation : UnicodeClass{0};
}

constexpr auto kAscii = [] {
    std::array<UnicodeClass, 128> classes{};
    for (std::uint32_t code = 0; code < classes.size(); ++code)
        classes[code] = ascii_class(code);
    return classes;
}();

}  // namespace

UnicodeClass unicode_class(std::uint32_t code) {
    if (code < kAscii.size()) return kAscii[code];
    if (code > 0x10FFFF) return 0;
    const std::span<const std::uint32_t> runs = unicode_runs();
    const auto after = std::ranges::upper_bound(runs, code << 8 | 0xFFu);
    return static_cast<UnicodeClass>(*std::prev(after) & 0xFFu);
}

}  // namespace kwaai::inference
