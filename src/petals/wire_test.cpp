#include "petals/wire.hpp"

#include <array>

#include <doctest/doctest.h>

#include "codec/protobuf.hpp"
#include "petals/vectors_test.hpp"

using namespace kwaai;
using namespace kwaai::petals;

namespace {

const std::array<float, 4> kRow{1, -2, 0.5, 3.140625};

ExpertMessage opening_request() {
    ExpertMessage message;
    message.uid = "tiny-llama-hf.0 tiny-llama-hf.1";
    message.tensors.push_back(hivemind::make_tensor({1, 1, 4}, kRow, hivemind::WireType::bfloat16));
    message.tensors.push_back(hivemind::make_dummy(hivemind::WireType::float32));
    message.tensors.push_back(hivemind::make_dummy(hivemind::WireType::int64));
    message.metadata = from_hex(kFirstMetadata);
    return message;
}

}  // namespace

TEST_CASE("an ExpertRequest has the bytes of a stock client's") {
    CHECK(
        to_hex(encode_message(opening_request())) ==
        "0a1f74696e792d6c6c616d612d68662e302074696e792d6c6c616d612d68662e3112190a08803f00c0003f4940"
        "1203010104220862666c6f61743136120c1201002207666c6f61743332120a1201002205696e7436341acb01" +
            std::string(kFirstMetadata));
}

TEST_CASE("what was encoded is decoded again") {
    const ExpertMessage message = decode_message(encode_message(opening_request())).value();
    CHECK(message.uid == "tiny-llama-hf.0 tiny-llama-hf.1");
    REQUIRE(message.tensors.size() == 3);
    CHECK(message.tensors[0].shape == std::vector<std::uint32_t>{1, 1, 4});
    CHECK(hivemind::float_values(message.tensors[0]).value() ==
          std::vector<float>(kRow.begin(), kRow.end()));
    CHECK(message.tensors[2].type == hivemind::WireType::int64);
    CHECK(to_hex(message.metadata) == kFirstMetadata);
}

TEST_CASE("a response is framed around its payload without a copy, with the bytes of the whole") {
    ExpertMessage response;
    response.tensors.push_back(
        hivemind::make_tensor({1, 1, 4}, kRow, hivemind::WireType::bfloat16));
    const hivemind::WireTensor& tensor = response.tensors.front();
    const hivemind::TensorFrame frame = frame_response(tensor);
    codec::Buffer framed = frame.head;
    codec::append(framed, tensor.buffer);
    codec::append(framed, frame.tail);
    CHECK(to_hex(framed) == "12190a08803f00c0003f49401203010104220862666c6f61743136");
    CHECK(framed == encode_message(response));
}

TEST_CASE("a response without rows is framed as well") {
    ExpertMessage response;
    response.tensors.push_back(hivemind::make_tensor({1, 0, 4}, {}, hivemind::WireType::float32));
    const hivemind::TensorFrame frame = frame_response(response.tensors.front());
    codec::Buffer framed = frame.head;
    codec::append(framed, frame.tail);
    CHECK(framed == encode_message(response));
}

TEST_CASE("an empty message is an empty request") {
    CHECK(encode_message(ExpertMessage()).empty());
    const ExpertMessage message = decode_message({}).value();
    CHECK(message.uid.empty());
    CHECK(message.tensors.empty());
    CHECK(message.metadata.empty());
}

TEST_CASE("unknown fields of a message are skipped") {
    codec::Buffer bytes = encode_message(opening_request());
    codec::ProtoWriter(bytes).varint(9, 5);
    CHECK(decode_message(bytes).value().tensors.size() == 3);
}

TEST_CASE("more than 16 tensors are refused") {
    ExpertMessage message;
    message.tensors.assign(16, hivemind::make_dummy(hivemind::WireType::float32));
    CHECK(decode_message(encode_message(message)).has_value());
    message.tensors.push_back(hivemind::make_dummy(hivemind::WireType::float32));
    CHECK(decode_message(encode_message(message)).error().code == Errc::limit_exceeded);
}

TEST_CASE("a message cut short anywhere is an error or a shorter message, never more") {
    const codec::Buffer bytes = encode_message(opening_request());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const Result<ExpertMessage> message = decode_message(Bytes(bytes).first(size));
        if (message) CHECK(encode_message(*message) == codec::to_buffer(Bytes(bytes).first(size)));
    }
}

TEST_CASE("an error in a tensor says which one") {
    codec::Buffer bytes;
    codec::ProtoWriter writer(bytes);
    codec::Buffer good;
    hivemind::encode_tensor(good, hivemind::make_dummy(hivemind::WireType::float32));
    writer.bytes(2, good);
    writer.bytes(2, from_hex("0a0400"));
    const Result<ExpertMessage> message = decode_message(bytes);
    REQUIRE_FALSE(message.has_value());
    CHECK(message.error().context.starts_with("tensor 1: "));
}

TEST_CASE("ExpertUID and ExpertInfo carry their field, or nothing") {
    CHECK(to_hex(encode_uid("tiny-llama-hf.0")) == "0a0f74696e792d6c6c616d612d68662e30");
    CHECK(decode_uid(encode_uid("tiny-llama-hf.0")).value() == "tiny-llama-hf.0");
    CHECK(encode_uid("").empty());
    CHECK(decode_uid({}).value().empty());
    const codec::Buffer info = from_hex("80");
    CHECK(to_hex(encode_info(info)) == "0a0180");
    CHECK(decode_info(encode_info(info)).value() == info);
    CHECK(decode_uid(from_hex("0805")).error().code == Errc::malformed);
    CHECK(decode_info(from_hex("0a05")).error().code == Errc::malformed);
}

TEST_CASE("a chain of blocks is named by its blocks, one space between") {
    const BlockChain chain{"tiny-llama-hf", {9, 12}};
    CHECK(to_uids(chain) == "tiny-llama-hf.9 tiny-llama-hf.10 tiny-llama-hf.11");
    const BlockChain back = parse_uids(to_uids(chain)).value();
    CHECK(back.prefix == "tiny-llama-hf");
    CHECK(back.range == chain.range);
    CHECK(parse_uids("mistralai/Mixtral-8x22B-v0-1.0").value().prefix ==
          "mistralai/Mixtral-8x22B-v0-1");
}

TEST_CASE("what is no chain of blocks is refused") {
    for (const char* uids : {"",
                             " ",
                             "m",
                             "m.",
                             ".0",
                             "m.0 ",
                             " m.0",
                             "m.0  m.1",
                             "m.0 m.2",
                             "m.1 m.0",
                             "m.0 m.0",
                             "m.0 n.1",
                             "m.-1",
                             "m.+1",
                             "m.01",
                             "m.1x",
                             "m.99999999999",
                             "m.4294967295",
                             "m.0\n"})
        CHECK_MESSAGE(!parse_uids(uids).has_value(), uids);
    CHECK_FALSE(parse_uids(std::string(300, 'p') + ".0").has_value());
}

TEST_CASE("1024 blocks are a chain, 1025 are too many") {
    CHECK(parse_uids(to_uids({"m", {0, 1024}})).value().range.count() == 1024);
    CHECK_FALSE(parse_uids(to_uids({"m", {0, 1025}})).has_value());
}
