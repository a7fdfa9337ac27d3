#include "petals/server_info.hpp"

#include <doctest/doctest.h>

#include "codec/msgpack.hpp"
#include "petals/vectors_test.hpp"

using namespace kwaai;
using namespace kwaai::petals;
using codec::MsgValue;
using hivemind::WireType;

namespace {

// Of a server of hidden size 64 in bfloat16.
ServerInfo stock_info() {
    ServerInfo info;
    info.version = "2.3.0.dev2";
    info.cache_tokens_available = 16384;
    info.schema_hidden = 64;
    info.schema_type = WireType::bfloat16;
    return info;
}

// rpc_info of a stock server, hidden size 64, in bfloat16 (776 bytes).
std::string stock_bytes() {
    const std::string tail =
        "a66c61796f7574ad746f7263682e73747269646564ad72657175697265735f67726164c2aa70696e5f6d656d6f"
        "72"
        "79c2ab636f6d7072657373696f6e00ab6465766963655f74797065c0ac6465766963655f696e646578c0";
    const std::string bfloat16 = "a56474797065ae746f7263682e62666c6f61743136";
    const std::string rows = "c77d5188a473697a65c7074094c001cd080040" + bfloat16 + tail;
    const std::string prompts = "c7775188a473697a65d54091c0" + bfloat16 + tail;
    const std::string hypo_ids =
        "c7745188a473697a65d54091c0a56474797065ab746f7263682e696e743634" + tail;
    return "87a776657273696f6eaa322e332e302e64657632af6468745f636c69656e745f6d6f6465c2b663616368655"
           "f"
           "746f6b656e735f617661696c61626c65cd4000ae666f72776172645f736368656d61c7864092c7814091" +
           rows + "80ae6f7574707574735f736368656d61c7814091" + rows +
           "ad6b6579776f72645f6e616d6573d44090b0696e666572656e63655f736368656d61c801784092c80172409"
           "3" +
           rows + prompts + hypo_ids + "80";
}

ServerInfo our_info() {
    ServerInfo info = stock_info();
    info.kwaai = KwaaiInfo{.prefix = "tiny-llama-hf",
                           .range = {2, 7},
                           .digest = ModelDigest{std::byte{1}, std::byte{2}},
                           .arithmetic_id = 3,
                           .rows = WireType::float32};
    return info;
}

codec::Buffer with_key(const char* key, MsgValue value) {
    codec::MsgMap map;
    map.emplace_back(MsgValue(std::string(key)), std::move(value));
    return codec::encode_msgpack(std::move(map));
}

}  // namespace

TEST_CASE("the info of a block has the bytes of a stock server's") {
    CHECK(to_hex(encode_server_info(stock_info())) == stock_bytes());
}

TEST_CASE("the info without a block has the bytes of a stock server's") {
    ServerInfo info = stock_info();
    info.schema_hidden.reset();
    CHECK(
        to_hex(encode_server_info(info)) ==
        "83a776657273696f6eaa322e332e302e64657632af6468745f636c69656e745f6d6f6465c2b663616368655f74"
        "6f6b656e735f617661696c61626c65cd4000");
}

TEST_CASE("a stock server's info is read") {
    const ServerInfo info = decode_server_info(from_hex(stock_bytes())).value();
    CHECK(info.version == "2.3.0.dev2");
    CHECK_FALSE(info.is_dht_client);
    CHECK(info.cache_tokens_available == 16384);
    CHECK(info.schema_hidden == 64u);
    CHECK(info.schema_type == WireType::bfloat16);
    CHECK(info.inference_compression == hivemind::Compression::none);
    CHECK_FALSE(info.kwaai.has_value());
}

TEST_CASE("our own key comes last and comes back") {
    const codec::Buffer bytes = encode_server_info(our_info());
    CHECK(to_hex(bytes).starts_with("88" + stock_bytes().substr(2) + "a56b77616169"));
    const ServerInfo info = decode_server_info(bytes).value();
    REQUIRE(info.kwaai.has_value());
    CHECK(info.kwaai->prefix == "tiny-llama-hf");
    CHECK(info.kwaai->range == inference::BlockRange{2, 7});
    CHECK(info.kwaai->digest == our_info().kwaai->digest);
    CHECK(info.kwaai->arithmetic_id == 3);
    CHECK(info.kwaai->rows == WireType::float32);
}

TEST_CASE("a digest that is still being computed is absent") {
    ServerInfo info = our_info();
    info.kwaai->digest.reset();
    const ServerInfo back = decode_server_info(encode_server_info(info)).value();
    REQUIRE(back.kwaai.has_value());
    CHECK_FALSE(back.kwaai->digest.has_value());
}

TEST_CASE("a server that compresses what it takes says so") {
    ServerInfo info = stock_info();
    info.inference_compression = hivemind::Compression::float16;
    CHECK(decode_server_info(encode_server_info(info)).value().inference_compression ==
          hivemind::Compression::float16);
}

TEST_CASE("a key that we use and that has another type is named") {
    const auto refuses = [](const char* key, MsgValue value) {
        const Result<ServerInfo> info = decode_server_info(with_key(key, std::move(value)));
        if (info) return false;
        CHECK(info.error().code == Errc::malformed);
        return info.error().context.contains(key);
    };
    CHECK(refuses("version", std::int64_t{2}));
    CHECK(refuses("dht_client_mode", std::int64_t{0}));
    CHECK(refuses("cache_tokens_available", 1.5));
    CHECK(refuses("cache_tokens_available", std::int64_t{-1}));
    CHECK(refuses("forward_schema", std::int64_t{1}));
    CHECK(refuses("forward_schema", codec::MsgArray()));
    codec::MsgArray no_tensor;
    no_tensor.push_back(codec::make_tuple({std::int64_t{1}}));
    CHECK(refuses("forward_schema", std::move(no_tensor)));
    CHECK(refuses("kwaai", std::string("yes")));
}

TEST_CASE("a schema of no tensor that we could read is refused") {
    const codec::Buffer bytes = encode_server_info(stock_info());
    const std::string hex = to_hex(bytes);
    const auto replaced = [&hex](std::string_view what, std::string_view by) {
        std::string result = hex;
        result.replace(result.find(what), what.size(), by);
        return decode_server_info(from_hex(result));
    };
    CHECK_FALSE(replaced("c7074094c001cd080040", "c7074094c001cd080000").has_value());  // hidden 0
    CHECK_FALSE(replaced("62666c6f61743136", "62666c6f61743137").has_value());          // bfloat17
    CHECK_FALSE(replaced("c77d51", "c77d52").has_value());                              // other ext
}

TEST_CASE("our key is checked like the others") {
    const auto reads = [](void (*change)(KwaaiInfo&)) {
        ServerInfo info = our_info();
        change(*info.kwaai);
        return decode_server_info(encode_server_info(info)).has_value();
    };
    CHECK(reads([](KwaaiInfo&) {}));
    CHECK_FALSE(reads([](KwaaiInfo& kwaai) { kwaai.range = {7, 2}; }));
    CHECK_FALSE(reads([](KwaaiInfo& kwaai) { kwaai.rows = WireType::int64; }));
    CHECK_FALSE(reads([](KwaaiInfo& kwaai) { kwaai.prefix = std::string(257, 'p'); }));
}

TEST_CASE("an info cut short anywhere is refused") {
    const codec::Buffer bytes = encode_server_info(our_info());
    for (std::size_t size = 0; size < bytes.size(); ++size)
        CHECK_FALSE(decode_server_info(Bytes(bytes).first(size)).has_value());
}
