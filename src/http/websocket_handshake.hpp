// How an HTTP/1.1 connection becomes a WebSocket (RFC 6455 section 4). Pure.
#pragma once
#include <array>
#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "http/message.hpp"
#include "http/parser.hpp"

namespace kwaai::http {

/// What a client asks for: "example.org:4001" (as in a URL, an IPv6 address in brackets) and
/// "/path".
struct WebSocketTarget {
    std::string host;
    std::string path = "/";
};

/// The Sec-WebSocket-Key header of 16 random bytes.
[[nodiscard]] std::string websocket_key(const std::array<std::byte, 16>& random);

/// The Sec-WebSocket-Accept header that answers `key` (section 4.2.2).
[[nodiscard]] std::string websocket_accept(std::string_view key);

/// A client's request, without extensions and subprotocols. `Errc::invalid_argument` for a host or
/// path that would break the format.
[[nodiscard]] Result<std::string> upgrade_request(const WebSocketTarget& target,
                                                  std::string_view key);

/// The answer with status 101 where `request` asks for a WebSocket of version 13; any path, any
/// origin. Offered extensions and subprotocols are left aside.
[[nodiscard]] std::expected<std::string, Rejection> answer_upgrade(const Request& request);

/// Where answer_upgrade or a RequestParser rejects: the answer, after which the connection ends.
[[nodiscard]] std::string refuse_upgrade(const Rejection& rejection);

/// Whether the server agrees. `Errc::unavailable` for another status, `malformed` where the answer
/// is none to `key` or names an extension or subprotocol.
[[nodiscard]] Result<> check_upgrade(const Response& response, std::string_view key);

}  // namespace kwaai::http
