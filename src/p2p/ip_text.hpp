// IP addresses as text. Pure: the system's own functions live in headers that only `io` may see.
#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace kwaai::p2p {

using Ip4 = std::array<std::byte, 4>;
using Ip6 = std::array<std::byte, 16>;

/// Four decimal numbers without leading zeros.
[[nodiscard]] std::optional<Ip4> parse_ip4(std::string_view text);
/// RFC 4291, section 2.2: groups of hexadecimal digits, at most one "::", maybe an IPv4 address as
/// the last 32 bits. No zone.
[[nodiscard]] std::optional<Ip6> parse_ip6(std::string_view text);

/// @param bytes 4
[[nodiscard]] std::string ip4_text(Bytes bytes);
/// RFC 5952: lower case, the longest run of zero groups as "::", IPv4-mapped ones as
/// "::ffff:192.0.2.1".
/// @param bytes 16
[[nodiscard]] std::string ip6_text(Bytes bytes);

/// Whether these 16 bytes stand for an IPv4 address (::ffff:0:0/96).
[[nodiscard]] bool is_ip4_mapped(Bytes bytes);

}  // namespace kwaai::p2p
