// HOST:PORT as people write it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace kwaai::io {

/// A host (an IPv4 or IPv6 address, or `localhost`) and a port; 0 lets the system choose.
struct Address {
    std::string host;
    std::uint16_t port = 0;
};

/// Reads "127.0.0.1:8080", "[::1]:8080" or "localhost:8080". `Errc::invalid_argument` says what is
/// wrong.
[[nodiscard]] Result<Address> parse_address(std::string_view text);

/// The inverse of parse_address.
[[nodiscard]] std::string to_string(const Address& address);

}  // namespace kwaai::io
