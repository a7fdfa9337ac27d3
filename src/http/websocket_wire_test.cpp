// Frames as bytes; the vectors are those of RFC 6455 section 5.7.
#include "http/websocket_wire.hpp"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/random.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::http;
using testing::from_hex;
using testing::to_hex;

namespace {

constexpr WsMask kMask = {std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};

std::string written(const WsHeader& header) {
    std::array<std::byte, kWsHeaderBytesMax> bytes{};
    const std::size_t size = write_ws_header(header, bytes);
    return to_hex(Bytes(bytes).first(size));
}

WsParsedHeader parsed(std::string_view hex) {
    const std::vector<std::byte> bytes = from_hex(hex);
    const auto header = read_ws_header(bytes);
    REQUIRE(header.has_value());
    REQUIRE(header->has_value());
    for (std::size_t size = 0; size < (*header)->size; ++size) {
        const auto part = read_ws_header(Bytes(bytes).first(size));
        REQUIRE(part.has_value());
        CHECK_FALSE(part->has_value());
    }
    return **header;
}

Errc error_of(std::string_view hex) {
    const auto header = read_ws_header(from_hex(hex));
    REQUIRE_FALSE(header.has_value());
    return header.error().code;
}

}  // namespace

TEST_CASE("headers are written in their shortest form") {
    CHECK(written({.opcode = WsOpcode::text, .payload_bytes = 5}) == "8105");
    CHECK(written({.opcode = WsOpcode::text, .mask = kMask, .payload_bytes = 5}) == "818537fa213d");
    CHECK(written({.opcode = WsOpcode::text, .is_final = false, .payload_bytes = 3}) == "0103");
    CHECK(written({.opcode = WsOpcode::continuation, .payload_bytes = 2}) == "8002");
    CHECK(written({.opcode = WsOpcode::ping, .payload_bytes = 5}) == "8905");
    CHECK(written({.payload_bytes = 125}) == "827d");
    CHECK(written({.payload_bytes = 126}) == "827e007e");
    CHECK(written({.payload_bytes = 256}) == "827e0100");
    CHECK(written({.payload_bytes = 65535}) == "827effff");
    CHECK(written({.payload_bytes = 65536}) == "827f0000000000010000");
    CHECK(written({.mask = kMask, .payload_bytes = 65536}) == "82ff000000000001000037fa213d");
}

TEST_CASE("headers are read, and more is asked for while they are not complete") {
    const WsParsedHeader masked = parsed("818537fa213d7f9f4d5158");
    CHECK(masked.size == 6);
    CHECK(masked.header.opcode == WsOpcode::text);
    CHECK(masked.header.is_final);
    CHECK(masked.header.mask == kMask);
    CHECK(masked.header.payload_bytes == 5);
    const WsParsedHeader first = parsed("010348656c");
    CHECK(first.size == 2);
    CHECK_FALSE(first.header.is_final);
    CHECK_FALSE(first.header.mask.has_value());
    CHECK(parsed("827e0100").header.payload_bytes == 256);
    CHECK(parsed("82ff000000000001000037fa213d").header.payload_bytes == 65536);
    CHECK(parsed("827f7fffffffffffffff").header.payload_bytes == 0x7fffffffffffffff);
}

TEST_CASE("headers that break the rules are malformed") {
    for (const char* hex : {"c200",  // reserved bits
                            "a200",
                            "9200",
                            "8300",  // reserved opcodes
                            "8700",
                            "8b00",
                            "8f00",
                            "0900",  // fragmented control frames
                            "0800",
                            "897e007e",  // long ones
                            "887f",
                            "827e007d",  // lengths in a longer form than they need
                            "827f000000000000ffff",
                            "827f8000000000000000"})  // and with the top bit
    {
        CAPTURE(hex);
        CHECK(error_of(hex) == Errc::malformed);
    }
}

TEST_CASE("masking is its own inverse, at every offset and size") {
    std::vector<std::byte> hello = from_hex("7f9f4d5158");
    apply_ws_mask(hello, kMask, 0);
    CHECK(as_text(hello) == "Hello");
    for (std::size_t size = 0; size < 40; ++size) {
        for (std::uint64_t offset = 0; offset < 9; ++offset) {
            std::vector<std::byte> bytes(size);
            std::vector<std::byte> expected(size);
            for (std::size_t i = 0; i < size; ++i) {
                bytes[i] = static_cast<std::byte>(random_bits(size, i));
                expected[i] = bytes[i] ^ kMask[(offset + i) % 4];
            }
            apply_ws_mask(bytes, kMask, offset);
            REQUIRE(bytes == expected);
        }
    }
}

TEST_CASE("a close frame has no code or one that may be sent, and a reason in UTF-8") {
    const auto code_of = [](std::string_view hex) {
        return read_ws_close(from_hex(hex));
    };
    CHECK_FALSE(code_of("").value().has_value());
    CHECK(code_of("03e8").value() == 1000);
    CHECK(code_of("03e9e282ac").value() == 1001);
    CHECK(code_of("0bb8").value() == 3000);
    CHECK(code_of("1387").value() == 4999);
    for (const char* hex : {"03",
                            "0000",
                            "03e7",
                            "03ec",
                            "03ed",
                            "03ee",
                            "03f7",
                            "07d0",
                            "0bb7",
                            "1388",
                            "ffff",
                            "03e8ff",
                            "03e8c0af"}) {
        CAPTURE(hex);
        CHECK_FALSE(code_of(hex).has_value());
    }
}
