// The upgrade of RFC 6455 section 4, and requests and answers that are none.
#include "http/websocket_handshake.hpp"

#include <doctest/doctest.h>

#include "http/parser.hpp"

using namespace kwaai;
using namespace kwaai::http;

namespace {

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";  // section 1.3
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

Headers upgrade_headers() {
    return Headers()
        .add("Host", "server.example.com")
        .add("Upgrade", "WebSocket")
        .add("Connection", "keep-alive, Upgrade")
        .add("Sec-WebSocket-Key", std::string(kKey))
        .add("Sec-WebSocket-Version", "13");
}

Request upgrade(const Headers& headers) {
    Request request;
    request.method = "GET";
    request.path = "/chat";
    request.headers = headers;
    return request;
}

/// The headers above, one of them with another value, or without it.
Headers with(std::string_view name, const std::optional<std::string>& value) {
    Headers changed;
    for (const Header& field : upgrade_headers()) {
        if (field.name != name)
            changed.add(field.name, field.value);
        else if (value)
            changed.add(field.name, *value);
    }
    return changed;
}

int status_of(const Request& request) {
    const auto answer = answer_upgrade(request);
    return answer ? 101 : answer.error().status;
}

Response agreement() {
    Response response;
    response.status = 101;
    response.headers.add("Upgrade", "websocket")
        .add("Connection", "Upgrade")
        .add("Sec-WebSocket-Accept", std::string(kAccept));
    return response;
}

}  // namespace

TEST_CASE("the key of RFC 6455 gets the answer of RFC 6455") {
    CHECK(websocket_accept(kKey) == kAccept);
    std::array<std::byte, 16> nonce;
    const Bytes sample = as_bytes("the sample nonce");
    std::ranges::copy(sample, nonce.begin());
    CHECK(websocket_key(nonce) == kKey);
    const auto answer = answer_upgrade(upgrade(upgrade_headers()));
    REQUIRE(answer.has_value());
    CHECK(*answer ==
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
}

TEST_CASE("our request is one that we answer, and our answer one that we take") {
    const auto text = upgrade_request({.host = "[::1]:4001", .path = "/p?q"}, kKey);
    REQUIRE(text.has_value());
    const ParserLimits limits{.header_bytes_max = 8192, .body_bytes_max = 0};
    RequestParser requests(limits);
    REQUIRE(requests.put(as_bytes(*text)) == text->size());
    REQUIRE(requests.is_done());
    const Request request = requests.take();
    CHECK(request.headers.find("host") == "[::1]:4001");
    CHECK(request.path == "/p");
    const auto answer = answer_upgrade(request);
    REQUIRE(answer.has_value());
    ResponseParser responses(limits, true, nullptr);
    REQUIRE(responses.put(as_bytes(*answer)) == answer->size());
    REQUIRE(responses.is_done());
    CHECK(check_upgrade(responses.take(), kKey).has_value());
}

TEST_CASE("any origin, path, extension and subprotocol is taken, and none is chosen") {
    Headers headers = upgrade_headers();
    headers.add("Origin", "https://elsewhere.example")
        .add("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
        .add("Sec-WebSocket-Protocol", "chat");
    const auto answer = answer_upgrade(upgrade(headers));
    REQUIRE(answer.has_value());
    CHECK(answer->find("Extensions") == std::string::npos);
    CHECK(answer->find("Protocol:") == std::string::npos);
}

TEST_CASE("requests that ask for no WebSocket are told what is wrong") {
    CHECK(status_of(upgrade(upgrade_headers())) == 101);
    CHECK(status_of(upgrade(with("Upgrade", std::nullopt))) == 426);
    CHECK(status_of(upgrade(with("Upgrade", "h2c"))) == 426);
    CHECK(status_of(upgrade(with("Connection", std::nullopt))) == 400);
    CHECK(status_of(upgrade(with("Connection", "keep-alive"))) == 400);
    CHECK(status_of(upgrade(with("Sec-WebSocket-Version", std::nullopt))) == 426);
    CHECK(status_of(upgrade(with("Sec-WebSocket-Version", "8"))) == 426);
    for (const char* key : {"",
                            "AAAA",
                            "dGhlIHNhbXBsZSBub25jZQ=",
                            "dGhlIHNhbXBsZSBub25jZ!==",
                            "dGhlIHNhbXBsZSBub25jZSBsb25n"})
        CHECK(status_of(upgrade(with("Sec-WebSocket-Key", key))) == 400);
    Request post = upgrade(upgrade_headers());
    post.method = "POST";
    CHECK(status_of(post) == 400);
    Request old = upgrade(upgrade_headers());
    old.version_minor = 0;
    CHECK(status_of(old) == 400);
    const std::string refusal = refuse_upgrade({.status = 426, .reason = "No."});
    CHECK(refusal.starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
    CHECK(refusal.find("\r\nSec-WebSocket-Version: 13\r\n") != std::string::npos);
    CHECK(refusal.ends_with("\r\n\r\nNo.\n"));
}

TEST_CASE("answers that agree to something else are not taken") {
    CHECK(check_upgrade(agreement(), kKey).has_value());
    const auto error_of = [](const Response& response) {
        const Result<> checked = check_upgrade(response, kKey);
        REQUIRE_FALSE(checked.has_value());
        return checked.error().code;
    };
    Response refused = agreement();
    refused.status = 404;
    CHECK(error_of(refused) == Errc::unavailable);
    Response bare;
    bare.status = 101;
    CHECK(error_of(bare) == Errc::malformed);
    Response other = agreement();
    other.headers = Headers();
    other.headers.add("Upgrade", "websocket").add("Connection", "Upgrade");
    CHECK(error_of(other) == Errc::malformed);
    other.headers.add("Sec-WebSocket-Accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    CHECK(error_of(other) == Errc::malformed);
    Response extended = agreement();
    extended.headers.add("Sec-WebSocket-Extensions", "permessage-deflate");
    CHECK(error_of(extended) == Errc::malformed);
}

TEST_CASE("a host or path that would break the request is refused") {
    for (const char* host : {"", "a b", "a\r\nX: y", "a\x7f"})
        CHECK_FALSE(upgrade_request({.host = host, .path = "/"}, kKey).has_value());
    for (const char* path : {"", "x", "/ x", "/\r\n"})
        CHECK_FALSE(upgrade_request({.host = "a", .path = path}, kKey).has_value());
}
