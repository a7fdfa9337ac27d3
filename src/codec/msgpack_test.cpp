#include "codec/msgpack.hpp"

#include <limits>

#include "codec/multibase.hpp"
#include "testing/fixtures.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::codec;

namespace {

using testing::from_hex;
using testing::to_hex;

std::string packed(const MsgValue& value) {
    return to_hex(encode_msgpack(value));
}

Result<MsgValue> unpacked(std::string_view text, const MsgLimits& limits = {}) {
    return decode_msgpack(from_hex(text), limits);
}

/// As above, of bytes that are well.
MsgValue read(std::string_view text) {
    auto value = unpacked(text);
    REQUIRE(value);
    return std::move(*value);
}

/// The value after a way through bytes.
MsgValue sent(const MsgValue& value) {
    auto received = decode_msgpack(encode_msgpack(value), {.values_max = 200000});
    REQUIRE(received);
    return std::move(*received);
}

MsgValue binary(std::string_view text) {
    return to_buffer(as_bytes(text));
}

}  // namespace

TEST_CASE("values have the bytes that Hivemind's serializer gives them, and read back") {
    // hivemind-protocol.md, appendix A.3 and section 3.1, recorded from Hivemind 1.1.
    const std::vector<std::pair<MsgValue, std::string_view>> vectors = {
        {MsgValue(), "c0"},
        {true, "c3"},
        {127, "7f"},
        {128, "cc80"},
        {-1, "ff"},
        {-33, "d0df"},
        {300, "cd012c"},
        {70000, "ce00011170"},
        {std::int64_t{1} << 32, "cf0000000100000000"},
        {1.5, "cb3ff8000000000000"},
        {"\xc3\xa9", "a2c3a9"},
        {binary("abc"), "c403616263"},
        {MsgArray{1, "a"}, "9201a161"},
        {make_tuple({1, "a"}), "d6409201a161"},
        {make_tuple({}), "d44090"},
        {make_tuple({make_tuple({1}), 2}), "c7064092d540910102"},
        {std::numeric_limits<double>::infinity(), "cb7ff0000000000000"},
        {"my_key", "a66d795f6b6579"},
        {make_tuple({"a", 1}), "d64092a16101"}};
    for (const auto& [value, bytes] : vectors) {
        CAPTURE(bytes);
        CHECK(packed(value) == bytes);
        CHECK(read(bytes) == value);
    }
}

TEST_CASE("a dictionary of the DHT is written as Hivemind writes it") {
    // hivemind-protocol.md, appendix A.3.
    const MsgValue inside = MsgArray{std::numeric_limits<double>::infinity(),
                                     1900000001.5,
                                     MsgArray{MsgArray{"subkey1", binary("{"), 1900000000.0},
                                              MsgArray{7, binary("\xa1v"), 1900000001.5}}};
    CHECK(packed(MsgExt{0x50, encode_msgpack(inside)}) ==
          "c7385093cb7ff0000000000000cb41dc4fecc06000009293a77375626b657931c4017bcb41dc4fecc0000000"
          "9307c402a176cb41dc4fecc0600000");
}

TEST_CASE("the structure of a call's arguments is written as Petals writes it") {
    // petals-protocol.md, section 2.3: ((__T0, __T1), {}) and ((__T0, __T1, __T2), {}).
    const auto structure = [](int count) {
        MsgArray tensors;
        for (int i = 0; i < count; ++i)
            tensors.push_back(binary("__T" + std::to_string(i)));
        return make_tuple({make_tuple(std::move(tensors)), MsgMap()});
    };
    CHECK(packed(structure(2)) == "c7124092c70d4092c4045f5f5430c4045f5f543180");
    CHECK(packed(structure(3)) == "c7184092c7134093c4045f5f5430c4045f5f5431c4045f5f543280");
}

TEST_CASE("a server's record in the DHT reads with its exact types") {
    // SERVERINFO_ONLINE of petals-wire-vectors.txt.
    const std::string_view bytes =
        "c80124409302cb40904200000000008dab73746172745f626c6f636b00a9656e645f626c6f636b04ab7075626c"
        "69635f6e616d65a26d65a776657273696f6eaa322e332e302e64657632ab6e6574776f726b5f727073cb409286"
        "0000000000ab666f72776172645f727073cb40c34fa000000000ad696e666572656e63655f727073cb40757200"
        "00000000a86164617074657273d44090ab746f7263685f6474797065a7666c6f61743332aa7175616e745f7479"
        "7065a46e6f6e65ab7573696e675f72656c6179c2b163616368655f746f6b656e735f6c656674cd4000aa6e6578"
        "745f70696e677381d934313244334b6f6f5744334e6b37454632434e4b59486f42424e726667636f42336b4454"
        "4d61625875744e7070484b784d6658716dcb3f90000000000000";
    const auto record = unpacked(bytes);
    REQUIRE(record);
    CHECK(packed(*record) == bytes);
    const auto elements = record->elements();
    REQUIRE(elements);
    REQUIRE(elements->size() == 3);
    CHECK((*elements)[0] == MsgValue(2));
    CHECK((*elements)[1] == MsgValue(1040.5));
    const MsgValue& info = (*elements)[2];
    REQUIRE(info.find("cache_tokens_left") != nullptr);
    CHECK(*info.find("cache_tokens_left") == MsgValue(16384));
    CHECK(*info.find("using_relay") == MsgValue(false));
    CHECK(info.find("adapters")->elements()->empty());
    CHECK(info.find("no such key") == nullptr);
}

TEST_CASE("the schema of an expert reads to the bottom of its tuples") {
    // hivemind-protocol.md, appendix A.10: BatchTensorDescriptor(1024, float32, device nil).
    const std::string_view bytes =
        "c77a5188a473697a65c7054092c0cd0400a56474797065ad746f7263682e666c6f61743332a66c61796f7574ad"
        "746f7263682e73747269646564ad72657175697265735f67726164c2aa70696e5f6d656d6f7279c2ab636f6d70"
        "72657373696f6e00ab6465766963655f74797065c0ac6465766963655f696e646578c0";
    const auto value = unpacked(bytes);
    REQUIRE(value);
    const auto* const ext = value->get_if<MsgExt>();
    REQUIRE(ext != nullptr);
    CHECK(ext->type == 0x51);
    const auto map = decode_msgpack(ext->bytes);
    REQUIRE(map);
    const auto size = map->find("size")->elements();
    REQUIRE(size);
    CHECK(*size == MsgArray{MsgValue(), 1024});
    CHECK(packed(*value) == bytes);
}

TEST_CASE("an int is no float, text is no binary, a list is no tuple, false is not 0") {
    CHECK(read("01") != read("cb3ff0000000000000"));
    CHECK(read("a161") != read("c40161"));
    CHECK(read("9101") != read("d5409101"));
    CHECK(read("c2") != read("00"));
    CHECK(read("01").get_if<double>() == nullptr);
}

TEST_CASE("numbers at the borders of their forms take the shortest form and read back") {
    const std::vector<std::pair<MsgValue, std::string_view>> vectors = {
        {0, "00"},
        {255, "ccff"},
        {256, "cd0100"},
        {65535, "cdffff"},
        {65536, "ce00010000"},
        {0xffffffffu, "ceffffffff"},
        {std::numeric_limits<std::int64_t>::max(), "cf7fffffffffffffff"},
        {std::numeric_limits<std::uint64_t>::max(), "cfffffffffffffffff"},
        {-32, "e0"},
        {-128, "d080"},
        {-129, "d1ff7f"},
        {-32768, "d18000"},
        {-32769, "d2ffff7fff"},
        {std::numeric_limits<std::int32_t>::min(), "d280000000"},
        {std::int64_t{std::numeric_limits<std::int32_t>::min()} - 1, "d3ffffffff7fffffff"},
        {std::numeric_limits<std::int64_t>::min(), "d38000000000000000"}};
    for (const auto& [value, bytes] : vectors) {
        CAPTURE(bytes);
        CHECK(packed(value) == bytes);
        CHECK(read(bytes) == value);
    }
}

TEST_CASE("a number is an int64 wherever that holds it") {
    CHECK(MsgValue(std::uint64_t{5}) == MsgValue(5));
    CHECK(read("cf0000000000000005") == MsgValue(5));
    CHECK(MsgValue(std::numeric_limits<std::uint64_t>::max()).get_if<std::uint64_t>() != nullptr);
}

TEST_CASE("longer forms than needed and float32 are read") {
    CHECK(read("d9016b") == MsgValue("k"));
    CHECK(read("dd0000000101") == MsgValue(MsgArray{1}));
    CHECK(read("df00000001a16101") == MsgValue(MsgMap{{"a", 1}}));
    CHECK(read("ca3fc00000") == MsgValue(1.5));
}

TEST_CASE("lengths at the borders of their forms read back") {
    for (const std::size_t size :
         {0u, 1u, 2u, 4u, 8u, 15u, 16u, 17u, 31u, 32u, 255u, 256u, 65536u}) {
        CAPTURE(size);
        const std::vector<MsgValue> values = {
            std::string(size, 'x'), Buffer(size), MsgExt{-3, Buffer(size)}};
        for (const MsgValue& value : values)
            CHECK(sent(value) == value);
        CHECK(sent(MsgArray(size)) == MsgValue(MsgArray(size)));
        CHECK(sent(MsgMap(size)) == MsgValue(MsgMap(size)));
    }
}

TEST_CASE("the last of two equal keys counts, as in Python") {
    const auto map = unpacked("82a16101a16102");
    REQUIRE(map);
    REQUIRE(map->find("a") != nullptr);
    CHECK(*map->find("a") == MsgValue(2));
}

TEST_CASE("bytes that end early or go on are malformed, with the place") {
    for (const std::string_view bytes : {"",
                                         "cc",
                                         "cd01",
                                         "cb3ff8",
                                         "a261",
                                         "c403",
                                         "92",
                                         "9201",
                                         "81a161",
                                         "d640",
                                         "d64001",
                                         "c7",
                                         "c9ffffffff40",
                                         "dd",
                                         "dbffffffff",
                                         "0101",
                                         "c1",
                                         "c0c0"}) {
        CAPTURE(bytes);
        const auto value = unpacked(bytes);
        REQUIRE_FALSE(value);
        CHECK(value.error().code == Errc::malformed);
        CHECK(value.error().context.find("byte") != std::string::npos);
    }
}

TEST_CASE("text that is not UTF-8 is malformed, as Python finds it") {
    CHECK(unpacked("a1ff").error().code == Errc::malformed);
}

TEST_CASE("counts that announce more than arrives take no memory and fail") {
    for (const std::string_view bytes : {"ddffffffff", "dfffffffff", "ddffffffffddffffffff"})
        CHECK(unpacked(bytes).error().code == Errc::malformed);
}

TEST_CASE("depth, count of values and size have limits") {
    std::string deep;
    for (int i = 0; i < 16; ++i)
        deep += "91";
    CHECK(unpacked(deep + "00"));
    CHECK(unpacked("91" + deep + "00").error().code == Errc::limit_exceeded);

    CHECK(unpacked("93000000", {.values_max = 4}));
    CHECK(unpacked("9400000000", {.values_max = 4}).error().code == Errc::limit_exceeded);

    CHECK(unpacked("a3616263", {.bytes_max = 4}));
    CHECK(unpacked("a461626364", {.bytes_max = 4}).error().code == Errc::limit_exceeded);
}

TEST_CASE("what is neither an array nor a tuple has no elements") {
    CHECK(MsgValue(1).elements().error().code == Errc::malformed);
    CHECK(MsgValue(MsgExt{0x50, from_hex("90")}).elements().error().code == Errc::malformed);
    CHECK(MsgValue(MsgExt{kExtTuple, from_hex("01")}).elements().error().code == Errc::malformed);
    CHECK(MsgValue(MsgExt{kExtTuple, from_hex("92")}).elements().error().code == Errc::malformed);
}
