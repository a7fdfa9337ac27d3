// Vectors of hivemind-protocol.md, Appendix A.1 and A.2 (Hivemind's own code wrote them), and what
// hostile peers may send.
#include "hivemind/rpc_wire.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "codec/varint.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::hivemind;

namespace {

using testing::from_hex;
using testing::to_hex;

const std::string kPeer =
    "002408011220000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const std::string kId = "00112233445566778899aabbccddeeff";

CallId test_id() {
    CallId id{};
    std::ranges::copy(from_hex(kId), id.begin());
    return id;
}

const std::string kUnaryRequest =
    "6e0a10" + kId + "1a5a0a26" + kPeer +
    "121444485450726f746f636f6c2e7270635f70696e671a1a12160a14000102030405060708090a0b0c0d0e0f1011"
    "12131801";
const std::string kUnaryReply =
    "390a10" + kId +
    "22250a2312160a141415161718191a1b1c1d1e1f20212223242526272100001040fc54d9412801";

template <class Message>
std::string whole(const Message& message) {
    codec::Buffer bytes = encode_head(message);
    codec::append(bytes, message.data);
    return to_hex(bytes);
}

// The bytes of an envelope behind its length.
codec::Buffer envelope_of(std::string_view hex) {
    const codec::Buffer bytes = from_hex(hex);
    const auto length = codec::read_varint(bytes);
    REQUIRE(length.has_value());
    REQUIRE(length->has_value());
    REQUIRE(bytes.size() == (*length)->size + (*length)->value);
    return codec::to_buffer(Bytes(bytes).subspan((*length)->size));
}

// Feeds `bytes` to a reader in pieces of `step`; the frames that came out, or the error's code.
Result<std::vector<Frame>> read_frames(Bytes bytes, std::size_t step, std::size_t bytes_max) {
    FrameReader reader(bytes_max);
    std::vector<Frame> frames;
    while (!bytes.empty()) {
        const MutableBytes space = reader.space();
        const std::size_t count = std::min({step, space.size(), bytes.size()});
        std::copy_n(bytes.begin(), count, space.begin());
        bytes = bytes.subspan(count);
        KWAAI_TRY(const bool is_whole, reader.advance(count));
        if (is_whole) frames.push_back(reader.take());
    }
    if (!reader.is_between_frames()) return fail(Errc::closed, "inside a frame");
    return frames;
}

}  // namespace

TEST_CASE("a unary request reads and writes as Hivemind's") {
    const codec::Buffer envelope = envelope_of(kUnaryRequest);
    const Result<UnaryRequest> request = decode_unary_request(envelope);
    REQUIRE(request.has_value());
    CHECK(request->id == test_id());
    CHECK(to_hex(request->peer) == kPeer);
    CHECK(request->method == "DHTProtocol.rpc_ping");
    CHECK(to_hex(request->data) == "12160a14000102030405060708090a0b0c0d0e0f101112131801");
    CHECK(whole(*request) == kUnaryRequest);
    CHECK(envelope_size(*request) == envelope.size());
}

TEST_CASE("a request without data still has its field") {
    const codec::Buffer peer = from_hex(kPeer);
    const UnaryRequest request{.id = test_id(), .peer = peer, .method = "x", .data = {}};
    CHECK(whole(request) == "410a10" + kId + "1a2d0a26" + kPeer + "1201781a00");
}

TEST_CASE("replies read and write as Hivemind's: a response, an empty one, an error") {
    const codec::Buffer envelope = envelope_of(kUnaryReply);
    const Result<UnaryReply> reply = decode_unary_reply(envelope);
    REQUIRE(reply.has_value());
    CHECK(!reply->is_error);
    CHECK(reply->data.size() == 35);
    CHECK(whole(*reply) == kUnaryReply);

    CHECK(whole(UnaryReply{.id = test_id()}) == "160a10" + kId + "22020a00");
    const UnaryReply error{
        .id = test_id(), .is_error = true, .data = as_bytes("KeyError('expert.0')")};
    const std::string bytes = "2a0a10" + kId + "221612144b65794572726f7228276578706572742e302729";
    CHECK(whole(error) == bytes);
    const codec::Buffer error_envelope = envelope_of(bytes);
    const Result<UnaryReply> read = decode_unary_reply(error_envelope);
    REQUIRE(read.has_value());
    CHECK(read->is_error);
    CHECK(as_text(read->data) == "KeyError('expert.0')");
}

TEST_CASE("an envelope that lacks a required field, or has an id of another length, is malformed") {
    for (const std::string& hex : {
             std::string(),                                     // nothing
             "0a10" + kId,                                      // no call
             std::string("1a070a001201781a00"),                 // no id
             "0a0f" + kId.substr(2) + "1a070a001201781a00",     // 15 bytes of id
             "0a11" + kId + "00" + "1a070a001201781a00",        // 17 bytes of id
             "0a10" + kId + "1a051201781a00",                   // no peer
             "0a10" + kId + "1a040a001a00",                     // no method
             "0a10" + kId + "1a050a00120178",                   // no data
             "0a10" + kId + "22020a00",                         // a response
             "0a10" + kId + "1a070a001201781a00" + "22020a00",  // the last of the oneof counts
             "0a10" + kId + "1a080a001201781a00",               // a length too long
             "0810" + kId + "1a070a001201781a00",               // the id as a number
         }) {
        const codec::Buffer bytes = from_hex(hex);
        const Result<UnaryRequest> request = decode_unary_request(bytes);
        REQUIRE_MESSAGE(!request.has_value(), hex);
        CHECK(request.error().code == Errc::malformed);
    }
}

TEST_CASE("unknown fields of an envelope are skipped, and the last of a repeated field counts") {
    const codec::Buffer bytes =
        from_hex("7a0141" + ("0a10" + kId) + "1a0f0a001201780a001a001201797a0141");
    const Result<UnaryRequest> request = decode_unary_request(bytes);
    REQUIRE(request.has_value());
    CHECK(request->method == "y");
}

TEST_CASE("a reply that is neither a response nor an error is malformed") {
    const codec::Buffer bytes = from_hex("0a10" + kId + "2200");
    const Result<UnaryReply> reply = decode_unary_reply(bytes);
    REQUIRE(!reply.has_value());
    CHECK(reply.error().code == Errc::malformed);
}

TEST_CASE("call ids are random UUIDs of version 4") {
    const CallId one = make_call_id();
    CHECK(one != make_call_id());
    CHECK((std::to_integer<unsigned>(one[6]) >> 4) == 4);
    CHECK((std::to_integer<unsigned>(one[8]) >> 6) == 2);
}

TEST_CASE("frames write as Hivemind's") {
    CHECK(to_hex(encode_error_frame({})) == "010000000000000000");
    CHECK(to_hex(encode_error_frame("boom")) == "0100000000000000060a04626f6f6d");
    CHECK(to_hex(encode_frame_header(FrameKind::message, 2)) == "000000000000000002");
    CHECK(to_hex(encode_frame_header(FrameKind::message, 0x0102030405060708)) ==
          "000102030405060708");
}

TEST_CASE("frames come out the same however their bytes are split") {
    const codec::Buffer bytes = from_hex(
        "0000000000000000020802"
        "000000000000000000"
        "0100000000000000060a04626f6f6d");
    for (const std::size_t step : {1, 2, 5, 9, 100}) {
        const Result<std::vector<Frame>> frames = read_frames(bytes, step, 100);
        REQUIRE(frames.has_value());
        REQUIRE(frames->size() == 3);
        CHECK(to_hex((*frames)[0].payload) == "0802");
        CHECK((*frames)[1].payload.empty());
        CHECK((*frames)[2].kind == FrameKind::error);
        CHECK(decode_error_text((*frames)[2].payload) == "boom");
    }
}

TEST_CASE("a long frame is whole when its last byte is there, and memory grows with its bytes") {
    const std::size_t size = std::size_t{3} << 20;
    FrameReader reader(size);
    const FrameHeader header = encode_frame_header(FrameKind::message, size);
    std::ranges::copy(header, reader.space().begin());
    CHECK(reader.advance(header.size()) == false);
    std::size_t arrived = 0;
    for (bool is_whole = false; !is_whole;) {
        const MutableBytes space = reader.space();
        CHECK(reader.memory() <= std::max(std::size_t{64} << 10, 2 * arrived));
        const std::size_t count = std::min<std::size_t>(space.size(), 10'000);
        std::ranges::fill(space.first(count), std::byte{7});
        arrived += count;
        const Result<bool> advanced = reader.advance(count);
        REQUIRE(advanced.has_value());
        is_whole = *advanced;
    }
    CHECK(arrived == size);
    CHECK(reader.take().payload == codec::Buffer(size, std::byte{7}));
    CHECK(reader.is_between_frames());
}

TEST_CASE("another marker than 0 and 1 is malformed, a payload over the limit is named as such") {
    const auto marker = read_frames(from_hex("020000000000000000"), 9, 100);
    REQUIRE(!marker.has_value());
    CHECK(marker.error().code == Errc::malformed);
    for (const char* hex : {"000000000000000065", "00ffffffffffffffff", "01ffffffffffffffff"}) {
        const auto large = read_frames(from_hex(hex), 9, 100);
        REQUIRE(!large.has_value());
        CHECK(large.error().code == Errc::limit_exceeded);
    }
    CHECK(read_frames(from_hex("000000000000000003aabbcc"), 9, 3).has_value());
}

TEST_CASE("texts of peers are valid, printable and short") {
    CHECK(clean_text("a\nb\x7f\xff") == "a b \xEF\xBF\xBD");
    CHECK(clean_text(std::string(100'000, '\xff')).size() <= 4096);
    CHECK(decode_error_text(from_hex("0a0262ff")) == "b\xEF\xBF\xBD");
    CHECK(decode_error_text({}) == "");
    CHECK(!decode_error_text(from_hex("0a05626f")).has_value());
}
