#include "p2p/muxer/yamux_wire.hpp"

#include <string_view>

#include <doctest/doctest.h>

#include "base/bytes.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

TEST_CASE("a yamux header is big-endian") {
    const auto bytes = encode(YamuxHeader{.type = YamuxType::window_update,
                                          .flags = yamux_flag::kSyn | yamux_flag::kRst,
                                          .stream = 0x01020304,
                                          .length = 0xa0b0c0d0});
    const std::string_view expected("\0\1\0\x9\1\2\3\4\xa0\xb0\xc0\xd0", 12);
    CHECK(as_text(bytes) == expected);
}

TEST_CASE("a yamux header decodes to what was encoded, unknown flags too") {
    const YamuxHeader header{
        .type = YamuxType::go_away, .flags = 0xfff0, .stream = 0xffffffff, .length = 7};
    const auto decoded = decode_yamux_header(encode(header));
    REQUIRE(decoded);
    CHECK(*decoded == header);
}

TEST_CASE("another version of yamux is malformed") {
    auto bytes = encode(YamuxHeader{});
    bytes[0] = std::byte{1};
    const auto decoded = decode_yamux_header(bytes);
    REQUIRE(!decoded);
    CHECK(decoded.error().code == Errc::malformed);
}

TEST_CASE("an unknown type of yamux frame is malformed") {
    auto bytes = encode(YamuxHeader{});
    bytes[1] = std::byte{4};
    CHECK(!decode_yamux_header(bytes));
}
