#include "codec/protobuf.hpp"

#include <limits>

#include "codec/multibase.hpp"
#include "testing/fixtures.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::codec;

namespace {

using testing::from_hex;
using testing::to_hex;

/// The single field of a message.
ProtoField only_field(Bytes message) {
    ProtoReader reader(message);
    ProtoField field;
    const auto has_field = reader.next(field);
    REQUIRE(has_field);
    REQUIRE(*has_field);
    ProtoField none;
    const auto has_more = reader.next(none);
    REQUIRE(has_more);
    CHECK_FALSE(*has_more);
    return field;
}

/// How reading all of a message ends.
Errc error_of(std::string_view message) {
    const Buffer bytes = from_hex(message);
    ProtoReader reader(bytes);
    ProtoField field;
    for (;;) {
        const auto has_field = reader.next(field);
        if (!has_field) return has_field.error().code;
        REQUIRE(*has_field);
    }
}

}  // namespace

TEST_CASE("fields are written in the order of the calls") {
    Buffer out;
    ProtoWriter writer(out);
    writer.varint(1, 150);
    writer.text(2, "testing");
    writer.fixed64(3, 1);
    writer.float64(16, 1.5);
    writer.bytes(4, {});
    CHECK(to_hex(out) ==
          "089601"
          "120774657374696e67"
          "190100000000000000"
          "8101000000000000f83f"
          "2200");
}

TEST_CASE("each kind of field reads back") {
    CHECK(*field_u64(only_field(from_hex("089601"))) == 150);
    CHECK(*field_u32(only_field(from_hex("089601"))) == 150);
    CHECK(*field_bool(only_field(from_hex("0801"))));
    CHECK_FALSE(*field_bool(only_field(from_hex("0800"))));
    const Buffer text = from_hex("120774657374696e67");
    CHECK(*field_text(only_field(text)) == "testing");
    CHECK(field_bytes(only_field(text))->size() == 7);
    CHECK(*field_fixed64(only_field(from_hex("190100000000000000"))) == 1);
    CHECK(*field_double(only_field(from_hex("8101000000000000f83f"))) == 1.5);
    CHECK(only_field(from_hex("0d01000000")).number == 1);
}

TEST_CASE("a negative number is a varint of 10 bytes") {
    const Buffer bytes = from_hex("08ffffffffffffffffff01");
    CHECK(*field_u64(only_field(bytes)) == std::numeric_limits<std::uint64_t>::max());
    Buffer out;
    ProtoWriter(out).varint(1, std::numeric_limits<std::uint64_t>::max());
    CHECK(out == bytes);
}

TEST_CASE("varints that are not minimal are read, as other decoders do") {
    CHECK(*field_u64(only_field(from_hex("08968100"))) == 150);
}

TEST_CASE("a field of another type than the schema's is malformed and named") {
    const Buffer number = from_hex("2801");
    const Buffer text = from_hex("2a0161");
    CHECK(field_bytes(only_field(number)).error().code == Errc::malformed);
    CHECK(field_text(only_field(number)).error().context.find("field 5") != std::string::npos);
    CHECK(field_u64(only_field(text)).error().code == Errc::malformed);
    CHECK(field_bool(only_field(text)).error().code == Errc::malformed);
    CHECK(field_fixed64(only_field(number)).error().code == Errc::malformed);
    CHECK(field_double(only_field(text)).error().code == Errc::malformed);
}

TEST_CASE("a number that does not fit 32 bits is malformed") {
    CHECK(*field_u32(only_field(from_hex("08ffffffff0f"))) == 0xffffffff);
    CHECK(field_u32(only_field(from_hex("088080808010"))).error().code == Errc::malformed);
}

TEST_CASE("broken messages are malformed") {
    for (const std::string_view message : {"08",    // no value
                                           "0880",  // a varint that does not end
                                           "08ffffffffffffffffffff01",  // a varint of 11 bytes
                                           "1205616263",                // bytes cut short
                                           "12ffffffffffffffff7f",  // a length beyond all memory
                                           "1901020304",            // fixed64 cut short
                                           "0d010203",              // fixed32 cut short
                                           "0001",                  // tag 0
                                           "0b0c",                  // a group
                                           "0e",
                                           "0f",  // wire types that are none
                                           "808080808001"
                                           "00",  // a tag above 2^29
                                           "80808080808080808001"
                                           "00"}) {
        CAPTURE(message);
        CHECK(error_of(message) == Errc::malformed);
    }
}

TEST_CASE("an empty message has no fields") {
    ProtoReader reader({});
    ProtoField field;
    const auto has_field = reader.next(field);
    REQUIRE(has_field);
    CHECK_FALSE(*has_field);
}

TEST_CASE("packed numbers are taken one after the other") {
    const Buffer varints = from_hex("010096018001");
    Bytes rest = varints;
    CHECK(*take_varint(rest) == 1);
    CHECK(*take_varint(rest) == 0);
    CHECK(*take_varint(rest) == 150);
    CHECK(*take_varint(rest) == 128);
    CHECK(rest.empty());
    // Two expirations of a StoreRequest (hivemind-protocol.md, appendix A.3).
    const Buffer doubles = from_hex("000000c0ec4fdc41000040c0ec4fdc41");
    rest = doubles;
    CHECK(*take_double(rest) == 1900000000.0);
    CHECK(*take_double(rest) == 1900000001.0);
    CHECK(rest.empty());
}

TEST_CASE("a packed number that is cut short is malformed and takes nothing") {
    const Buffer bytes = from_hex("8080");
    Bytes rest = bytes;
    CHECK(take_varint(rest).error().code == Errc::malformed);
    CHECK(rest.size() == 2);
    CHECK(take_double(rest).error().code == Errc::malformed);
    CHECK(rest.size() == 2);
}
