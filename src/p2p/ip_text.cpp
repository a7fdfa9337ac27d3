#include "p2p/ip_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace kwaai::p2p {
namespace {

constexpr std::size_t kGroups = 8;

/// All of `text` as a number of at most `digits_max` digits; nothing for anything else.
std::optional<unsigned> parse_number(std::string_view text, int base, std::size_t digits_max) {
    if (text.empty() || text.size() > digits_max) return std::nullopt;
    unsigned value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
    return value;
}

struct Groups {
    std::array<std::uint16_t, kGroups> values{};
    std::size_t count = 0;

    bool add(unsigned value) {
        if (count == kGroups) return false;
        values[count++] = static_cast<std::uint16_t>(value);
        return true;
    }
};

/// Groups between single colons, at least one; an IPv4 address may stand at the end.
bool parse_groups(std::string_view text, bool may_end_in_ip4, Groups& groups) {
    for (;;) {
        const std::size_t colon = text.find(':');
        const bool is_last = colon == std::string_view::npos;
        const std::string_view group = text.substr(0, colon);
        if (is_last && may_end_in_ip4 && group.find('.') != std::string_view::npos) {
            const auto ip4 = parse_ip4(group);
            if (!ip4) return false;
            const auto at = [&](std::size_t i) {
                return std::to_integer<unsigned>((*ip4)[i]);
            };
            return groups.add(at(0) << 8 | at(1)) && groups.add(at(2) << 8 | at(3));
        }
        const auto value = parse_number(group, 16, 4);
        if (!value || !groups.add(*value)) return false;
        if (is_last) return true;
        text.remove_prefix(colon + 1);
    }
}

Ip6 bytes_of(const Groups& front, const Groups& back) {
    Ip6 ip{};
    const auto put = [&](std::size_t group, std::uint16_t value) {
        ip[2 * group] = static_cast<std::byte>(value >> 8);
        ip[2 * group + 1] = static_cast<std::byte>(value & 0xff);
    };
    for (std::size_t i = 0; i < front.count; ++i)
        put(i, front.values[i]);
    for (std::size_t i = 0; i < back.count; ++i)
        put(kGroups - back.count + i, back.values[i]);
    return ip;
}

void append_number(std::string& text, unsigned value, int base) {
    std::array<char, 8> digits;
    const auto [end, error] =
        std::to_chars(digits.data(), digits.data() + digits.size(), value, base);
    (void)error;  // eight digits hold any byte and any group
    text.append(digits.data(), end);
}

struct Run {
    std::size_t begin = 0;
    std::size_t size = 0;
};

/// The first of the longest runs of zero groups; one group alone is not shortened (RFC 5952, 4.2).
Run longest_zeros(const std::array<unsigned, kGroups>& groups) {
    Run best;
    for (std::size_t i = 0; i < kGroups;) {
        std::size_t end = i;
        while (end < kGroups && groups[end] == 0)
            ++end;
        if (end - i > best.size) best = {i, end - i};
        i = std::max(end, i + 1);
    }
    return best.size >= 2 ? best : Run{};
}

}  // namespace

std::optional<Ip4> parse_ip4(std::string_view text) {
    Ip4 ip{};
    for (std::size_t i = 0; i < ip.size(); ++i) {
        const std::size_t dot = i + 1 < ip.size() ? text.find('.') : text.size();
        if (dot == std::string_view::npos) return std::nullopt;
        const std::string_view part = text.substr(0, dot);
        const auto value = parse_number(part, 10, 3);
        if (!value || *value > 255 || (part.size() > 1 && part[0] == '0')) return std::nullopt;
        ip[i] = static_cast<std::byte>(*value);
        text.remove_prefix(std::min(dot + 1, text.size()));
    }
    return ip;
}

std::optional<Ip6> parse_ip6(std::string_view text) {
    Groups front;
    Groups back;
    const std::size_t gap = text.find("::");
    if (gap == std::string_view::npos) {
        if (!parse_groups(text, true, front) || front.count != kGroups) return std::nullopt;
        return bytes_of(front, back);
    }
    const std::string_view before = text.substr(0, gap);
    const std::string_view behind = text.substr(gap + 2);
    if (!before.empty() && !parse_groups(before, false, front)) return std::nullopt;
    if (!behind.empty() && !parse_groups(behind, true, back)) return std::nullopt;
    if (front.count + back.count >= kGroups) return std::nullopt;  // "::" is at least one group
    return bytes_of(front, back);
}

std::string ip4_text(Bytes bytes) {
    std::string text;
    for (const std::byte byte : bytes) {
        if (!text.empty()) text.push_back('.');
        append_number(text, std::to_integer<unsigned>(byte), 10);
    }
    return text;
}

bool is_ip4_mapped(Bytes bytes) {
    const auto is = [](unsigned value) {
        return [value](std::byte b) {
            return b == static_cast<std::byte>(value);
        };
    };
    return std::ranges::all_of(bytes.first(10), is(0)) &&
           std::ranges::all_of(bytes.subspan(10, 2), is(0xff));
}

std::string ip6_text(Bytes bytes) {
    if (is_ip4_mapped(bytes)) return "::ffff:" + ip4_text(bytes.last(4));
    std::array<unsigned, kGroups> groups;
    for (std::size_t i = 0; i < kGroups; ++i)
        groups[i] = std::to_integer<unsigned>(bytes[2 * i]) << 8 |
                    std::to_integer<unsigned>(bytes[2 * i + 1]);
    const Run zeros = longest_zeros(groups);
    std::string text;
    for (std::size_t i = 0; i < kGroups; ++i) {
        if (zeros.size > 0 && i == zeros.begin) {
            text += "::";
            i += zeros.size - 1;
            continue;
        }
        if (!text.empty() && !text.ends_with(':')) text.push_back(':');
        append_number(text, groups[i], 16);
    }
    return text;
}

}  // namespace kwaai::p2p
