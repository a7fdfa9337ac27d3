#include "http/websocket_handshake.hpp"

#include <algorithm>

#include "codec/multibase.hpp"
#include "crypto/hash.hpp"

namespace kwaai::http {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // section 1.3
constexpr std::size_t kKeyCharacters = 24;
constexpr std::string_view kKeyPadding = "==";

bool is_visible(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

/// Any of the fields of that name lists the token.
bool has_token(const Headers& headers, std::string_view name, std::string_view token) {
    return std::ranges::any_of(headers, [&](const Header& field) {
        return equals_ignoring_case(field.name, name) && lists_token(field.value, token);
    });
}

bool is_key(std::string_view text) {
    if (text.size() != kKeyCharacters || !text.ends_with(kKeyPadding)) return false;
    text.remove_suffix(kKeyPadding.size());
    return codec::decode_base(codec::Base::base64, text).has_value();
}

}  // namespace

std::string websocket_key(const std::array<std::byte, 16>& random) {
    return codec::encode_base(codec::Base::base64, random).append(kKeyPadding);
}

std::string websocket_accept(std::string_view key) {
    std::string text(key);
    text += kGuid;
    return codec::encode_base(codec::Base::base64, crypto::sha1(as_bytes(text))) + "=";
}

Result<std::string> upgrade_request(const WebSocketTarget& target, std::string_view key) {
    if (!is_visible(target.host) || !is_visible(target.path) || !target.path.starts_with('/'))
        return fail(Errc::invalid_argument, "no host or path of a WebSocket");
    return "GET " + target.path + " HTTP/1.1\r\nHost: " + target.host +
           "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " +
           std::string(key) + "\r\nSec-WebSocket-Version: 13\r\n\r\n";
}

std::expected<std::string, Rejection> answer_upgrade(const Request& request) {
    const auto reject = [](int status, const char* reason) {
        return std::unexpected(Rejection{.status = status, .reason = reason});
    };
    const Headers& headers = request.headers;
    if (!has_token(headers, "upgrade", "websocket"))
        return reject(426, "This port speaks libp2p, here over WebSocket only.");
    if (request.method != "GET" || request.version_minor < 1 || !request.body.empty())
        return reject(400, "A WebSocket begins with GET in HTTP/1.1 without a body.");
    if (!has_token(headers, "connection", "upgrade"))
        return reject(400, "The Connection header must list Upgrade.");
    if (headers.find("sec-websocket-version") != "13")
        return reject(426, "The only version of WebSocket served is 13.");
    const auto key = headers.find("sec-websocket-key");
    if (!key || headers.count("sec-websocket-key") != 1 || !is_key(*key))
        return reject(400, "The Sec-WebSocket-Key header must be 16 bytes in base64.");
    return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Accept: " +
           websocket_accept(*key) + "\r\n\r\n";
}

std::string refuse_upgrade(const Rejection& rejection) {
    const std::string body = rejection.reason + "\n";
    std::string head = "HTTP/1.1 " + std::to_string(rejection.status) + " " +
                       std::string(reason_phrase(rejection.status)) + "\r\n";
    if (rejection.status == 426) head += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    return head + "Content-Type: text/plain; charset=utf-8\r\nContent-Length: " +
           std::to_string(body.size()) +
           "\r\nConnection: " + (rejection.status == 426 ? "Upgrade, close" : "close") +
           "\r\n\r\n" + body;
}

Result<> check_upgrade(const Response& response, std::string_view key) {
    if (response.status != 101)
        return fail(Errc::unavailable,
                    "the server answers the WebSocket's upgrade with status " +
                        std::to_string(response.status));
    const Headers& headers = response.headers;
    if (!has_token(headers, "upgrade", "websocket") || !has_token(headers, "connection", "upgrade"))
        return fail(Errc::malformed, "the server upgrades to something that is no WebSocket");
    if (headers.find("sec-websocket-accept") != std::string_view(websocket_accept(key)))
        return fail(Errc::malformed, "the server's Sec-WebSocket-Accept belongs to another key");
    if (headers.count("sec-websocket-extensions") + headers.count("sec-websocket-protocol") > 0)
        return fail(Errc::malformed, "the server chose an extension that was not offered");
    return {};
}

}  // namespace kwaai::http
