// What a peer may send, what comes of it, and what it is answered.
#include "http/websocket_state.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/random.hpp"
#include "testing/hex.hpp"
#include "testing/read_splitter.hpp"

using namespace kwaai;
using namespace kwaai::http;
using testing::from_hex;
using testing::to_hex;

namespace {

constexpr WsMask kMask = {std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};
constexpr WebSocketLimits kLimits{
    .header_bytes_max = 8192, .frame_bytes_max = 1000, .message_bytes_max = 1500};

/// What a state makes of bytes in pieces: its payload, and its control frames in hexadecimal.
struct Conversation {
    explicit Conversation(WebSocketRole role, std::uint64_t seed = 0)
        : state(role, kLimits), splitter(seed) {}

    void put(std::string_view hex) { put(from_hex(hex)); }

    void put(std::vector<std::byte> bytes) {
        MutableBytes rest(bytes);
        while (!rest.empty()) {
            const MutableBytes piece = rest.first(splitter.piece(rest.size()));
            payload += as_text(piece.first(state.take(piece)));
            rest = rest.subspan(piece.size());
        }
    }

    std::string answers() {
        std::string all;
        while (state.has_control())
            all += to_hex(state.take_control(kMask)) + " ";
        return all;
    }

    WebSocketState state;
    testing::ReadSplitter splitter;
    std::string payload;
};

std::vector<std::byte> frame(WsHeader header, std::string_view payload) {
    std::vector<std::byte> bytes(kWsHeaderBytesMax);
    header.payload_bytes = payload.size();
    bytes.resize(write_ws_header(header, std::span(bytes).first<kWsHeaderBytesMax>()));
    const std::size_t begin = bytes.size();
    const Bytes added = as_bytes(payload);
    bytes.insert(bytes.end(), added.begin(), added.end());
    if (header.mask) apply_ws_mask(MutableBytes(bytes).subspan(begin), *header.mask, 0);
    return bytes;
}

struct Verdict {
    Errc code;
    std::string answer;
};

/// What comes of bytes that a client may not send to us.
Verdict verdict(std::vector<std::byte> bytes) {
    Conversation server(WebSocketRole::server);
    server.put(std::move(bytes));
    REQUIRE(server.state.failure().has_value());
    CHECK(server.state.is_sending_ended());
    return {server.state.failure()->code, server.answers()};
}

}  // namespace

TEST_CASE("binary messages, whole or in fragments, give their bytes in any pieces") {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        CAPTURE(seed);
        Conversation server(WebSocketRole::server, seed);
        server.put(frame({.mask = kMask}, "Hello"));
        server.put(frame({.is_final = false, .mask = kMask}, ", "));
        server.put(frame({.opcode = WsOpcode::ping, .mask = kMask}, "between"));
        server.put(frame({.opcode = WsOpcode::continuation, .is_final = false, .mask = kMask}, ""));
        CHECK_FALSE(server.state.is_at_boundary());
        server.put(frame({.opcode = WsOpcode::continuation, .mask = kMask}, "world"));
        server.put(frame({.mask = kMask}, ""));
        CHECK(server.state.is_at_boundary());
        server.put(frame({.mask = kMask}, std::string(999, 'x')));
        CHECK_FALSE(server.state.failure().has_value());
        CHECK(server.payload == "Hello, world" + std::string(999, 'x'));
        CHECK(server.answers() == "8a07" + to_hex(as_bytes("between")) + " ");
    }
}

TEST_CASE("a ping is answered with its bytes, by a client masked: RFC 6455 section 5.7") {
    Conversation client(WebSocketRole::client);
    client.put("890548656c6c6f");
    CHECK(client.answers() == "8a8537fa213d7f9f4d5158 ");
    CHECK(client.answers().empty());
    client.put("890161");
    client.put("890162");
    CHECK(client.answers() == "8a8137fa213d55 ");  // "b": the latest
    client.put("8a0161");
    CHECK(client.answers().empty());
    CHECK(client.payload.empty());
}

TEST_CASE("close ends what comes, and is answered with its code when our side ends") {
    Conversation server(WebSocketRole::server);
    server.put(
        frame({.opcode = WsOpcode::close, .mask = kMask}, std::string("\x0b\xb8", 2) + "why"));
    CHECK(server.state.is_ended());
    CHECK_FALSE(server.state.is_sending_ended());
    server.put(frame({.mask = kMask}, "late"));
    CHECK(server.payload.empty());
    server.state.end_sending();
    server.state.end_sending();
    CHECK(server.answers() == "88020bb8 ");
}

TEST_CASE("after our close nothing is answered, and what comes is still taken") {
    Conversation client(WebSocketRole::client);
    client.put("890161");
    client.state.end_sending();
    CHECK(client.state.is_sending_ended());
    CHECK(client.answers() == "8a8137fa213d56 888237fa213d3412 ");
    client.put("890161");
    client.put("820161");
    CHECK(client.answers().empty());
    CHECK(client.payload == "a");
    client.put("c20161");
    CHECK(client.state.failure().has_value());
    CHECK(client.answers().empty());
}

TEST_CASE("what breaks the rules ends the connection with the code for it") {
    const std::string protocol_error = "880203ea ";
    for (const auto& bytes : {
             frame({}, "no mask"),
             from_hex("c2800000000061"),
             from_hex("83800000000061"),
             from_hex("09800000000061"),
             frame({.opcode = WsOpcode::continuation, .mask = kMask}, "of nothing"),
             frame({.opcode = WsOpcode::close, .mask = kMask}, "1"),
             frame({.opcode = WsOpcode::close, .mask = kMask}, std::string("\x03\xed", 2)),
         }) {
        CAPTURE(to_hex(bytes));
        const Verdict given = verdict(bytes);
        CHECK(given.code == Errc::malformed);
        CHECK(given.answer == protocol_error);
    }
    std::vector<std::byte> nested = frame({.is_final = false, .mask = kMask}, "a");
    const std::vector<std::byte> second = frame({.mask = kMask}, "b");
    nested.insert(nested.end(), second.begin(), second.end());
    CHECK(verdict(nested).answer == protocol_error);

    const Verdict text = verdict(frame({.opcode = WsOpcode::text, .mask = kMask}, "text"));
    CHECK(text.code == Errc::unsupported);
    CHECK(text.answer == "880203eb ");

    Conversation client(WebSocketRole::client);
    client.put("828137fa213d56");
    REQUIRE(client.state.failure().has_value());
    CHECK(client.payload.empty());
}

TEST_CASE("frames and messages beyond the limits are refused by their headers alone") {
    const auto header_of = [](std::uint64_t payload_bytes) {
        std::vector<std::byte> bytes(kWsHeaderBytesMax);
        bytes.resize(write_ws_header({.mask = kMask, .payload_bytes = payload_bytes},
                                     std::span(bytes).first<kWsHeaderBytesMax>()));
        return bytes;
    };
    for (const std::uint64_t size : {std::uint64_t{1001}, ~std::uint64_t{0} >> 1}) {
        const Verdict given = verdict(header_of(size));
        CHECK(given.code == Errc::limit_exceeded);
        CHECK(given.answer == "880203f1 ");
    }
    Conversation server(WebSocketRole::server);
    server.put(frame({.is_final = false, .mask = kMask}, std::string(1000, 'x')));
    server.put(frame({.opcode = WsOpcode::continuation, .is_final = false, .mask = kMask},
                     std::string(500, 'x')));
    CHECK_FALSE(server.state.failure().has_value());
    server.put(frame({.opcode = WsOpcode::continuation, .mask = kMask}, "x"));
    REQUIRE(server.state.failure().has_value());
    CHECK(server.state.failure()->code == Errc::limit_exceeded);
    CHECK(server.payload.size() == 1500);
}

TEST_CASE("payload in front of a mistake is given, and nothing behind it") {
    Conversation server(WebSocketRole::server);
    std::vector<std::byte> bytes = frame({.mask = kMask}, "good");
    for (const auto& more : {frame({}, "bad"), frame({.mask = kMask}, "late")})
        bytes.insert(bytes.end(), more.begin(), more.end());
    server.put(bytes);
    CHECK(server.payload == "good");
    CHECK(server.state.failure().has_value());
}
