#include "codec/varint.hpp"

#include <limits>

#include "codec/multibase.hpp"
#include "testing/fixtures.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::codec;

namespace {

using testing::from_hex;

}  // namespace

TEST_CASE("varints are written little end first and read back") {
    const std::vector<std::pair<std::uint64_t, std::string_view>> vectors = {
        {0, "00"},
        {1, "01"},
        {127, "7f"},
        {128, "8001"},
        {255, "ff01"},
        {300, "ac02"},
        {16384, "808001"},
        {(std::uint64_t{1} << 63) - 1, "ffffffffffffffff7f"}};
    for (const auto& [value, bytes] : vectors) {
        CAPTURE(bytes);
        Buffer out;
        append_varint(out, value);
        CHECK(encode_base(Base::base16, out) == bytes);
        CHECK(varint_size(value) == out.size());
        const auto read = read_varint(out);
        REQUIRE(read);
        REQUIRE(*read);
        CHECK((*read)->value == value);
        CHECK((*read)->size == out.size());
    }
}

TEST_CASE("bytes behind a varint are not touched") {
    const auto read = read_varint(from_hex("ac02ffff"));
    REQUIRE(read);
    CHECK((*read)->value == 300);
    CHECK((*read)->size == 2);
}

TEST_CASE("a varint that has not ended asks for more bytes") {
    for (const std::string_view bytes : {"", "80", "8080", "ffffffffffffffff"}) {
        const auto read = read_varint(from_hex(bytes));
        REQUIRE(read);
        CHECK_FALSE(*read);
    }
}

TEST_CASE("a varint that is longer than its value needs is malformed") {
    for (const std::string_view bytes : {"8000", "818000", "ff00", "808080808080808000"})
        CHECK(read_varint(from_hex(bytes)).error().code == Errc::malformed);
}

TEST_CASE("a varint of more than 9 bytes is malformed before it ends") {
    for (const std::string_view bytes : {"ffffffffffffffffff", "ffffffffffffffffff01"})
        CHECK(read_varint(from_hex(bytes)).error().code == Errc::malformed);
}
