// Exchanges recorded with real Hivemind and Petals peers (fixtures/petals, see its README): all
// bytes of all calls go through our decoders, and come out of our encoders as they were.
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "codec/protobuf.hpp"
#include "codec/varint.hpp"
#include "hivemind/rpc_limits.hpp"
#include "hivemind/rpc_wire.hpp"
#include "hivemind/tensor_wire.hpp"
#include "json/document.hpp"
#include "testing/fixtures.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::hivemind;

namespace {

using testing::from_hex;
using testing::to_hex;

struct Exchange {
    std::string set;
    std::string name;
    std::string protocol;
    codec::Buffer caller;  // what the one who opened the stream sent
    codec::Buffer callee;
    bool has_all_bytes = true;
};

std::string text_at(json::Value value, std::string_view key) {
    const auto member = value.find(key);
    return member ? std::string(*member->string()) : std::string();
}

// Bytes that the recorder left out are zeros.
codec::Buffer event_bytes(json::Value event) {
    codec::Buffer bytes = from_hex(text_at(event, "data"));
    codec::append(bytes, from_hex(text_at(event, "data_head")));
    for (const char* key : {"data_bytes", "data_omitted"})
        if (const auto total = event.find(key)) bytes.resize(*total->unsigned_integer());
    return bytes;
}

Exchange to_exchange(json::Value value) {
    Exchange exchange{.name = text_at(value, "name"), .protocol = text_at(value, "protocol")};
    const auto stream = value.given("stream");
    const bool is_opened_by_us = !stream || *stream->unsigned_integer() % 2 == 1;
    const auto events = value.at("events")->array();
    REQUIRE(events.has_value());
    for (const json::Value event : *events) {
        const bool is_caller = (text_at(event, "from") == "C") == is_opened_by_us;
        codec::append(is_caller ? exchange.caller : exchange.callee, event_bytes(event));
        if (event.find("data_head")) exchange.has_all_bytes = false;
    }
    return exchange;
}

std::vector<Exchange> read_exchanges(const std::string& path) {
    const std::string text = testing::read_text(path);
    const auto document = json::parse(text);
    REQUIRE(document.has_value());
    std::vector<Exchange> exchanges;
    const auto sets = document->root().at("sets")->array();
    REQUIRE(sets.has_value());
    for (const json::Value set : *sets) {
        const auto list = set.at("exchanges")->array();
        REQUIRE(list.has_value());
        for (const json::Value value : *list) {
            Exchange exchange = to_exchange(value);
            exchange.set = text_at(set, "name");
            if (exchange.protocol.contains(".rpc_")) exchanges.push_back(std::move(exchange));
        }
    }
    return exchanges;
}

// What follows the lines of multistream-select.
Bytes without_negotiation(Bytes bytes) {
    for (;;) {
        const auto length = codec::read_varint(bytes);
        if (!length || !*length || (*length)->value > bytes.size() - (*length)->size) return bytes;
        const std::string_view line =
            as_text(bytes.subspan((*length)->size, static_cast<std::size_t>((*length)->value)));
        const bool is_line =
            line.ends_with('\n') && (line.starts_with("/multistream/") || line == "na\n" ||
                                     line.starts_with("DHTProtocol.rpc_") ||
                                     line.starts_with("ReachabilityProtocol.rpc_") ||
                                     line.starts_with("TransformerConnectionHandler.rpc_"));
        if (!is_line) return bytes;
        bytes = bytes.subspan((*length)->size + line.size());
    }
}

struct Totals {
    std::size_t requests = 0;
    std::size_t replies = 0;
    std::size_t failures = 0;
    std::size_t frames = 0;
    std::size_t tensors = 0;
    std::map<std::string, int> refused;  // exchanges whose bytes we do not take, and why
};

// The message behind a length, where there is one; nothing else follows it. The zeros at its end
// that the recorder left out are put back.
std::optional<codec::Buffer> prefixed_message(const Exchange& exchange,
                                              Bytes bytes,
                                              Totals& totals) {
    const auto length = codec::read_varint(bytes);
    REQUIRE(length.has_value());
    if (!*length) return std::nullopt;
    if ((*length)->value > RpcLimits().unary_bytes_max) {
        ++totals.refused[exchange.name];
        return std::nullopt;
    }
    codec::Buffer message = codec::to_buffer(bytes.subspan((*length)->size));
    const auto size = static_cast<std::size_t>((*length)->value);
    if (!exchange.has_all_bytes) message.resize(std::max(message.size(), size));
    REQUIRE(message.size() == size + (exchange.name == "cancel-stray-byte-after-request" ? 1 : 0));
    message.resize(size);
    return message;
}

template <class Message>
void check_same(const Message& message, Bytes envelope) {
    codec::Buffer bytes = encode_head(message);
    codec::append(bytes, message.data);
    const auto length = codec::read_varint(bytes);
    CHECK(std::ranges::equal(Bytes(bytes).subspan((*length)->size), envelope));
    CHECK(envelope_size(message) == envelope.size());
}

// The tensors of an ExpertRequest or ExpertResponse: field 2 of both.
void check_tensors(const Exchange& exchange, Bytes message, Totals& totals) {
    if (!exchange.has_all_bytes) return;
    codec::ProtoReader reader(message);
    codec::ProtoField field;
    for (;;) {
        const Result<bool> has_field = reader.next(field);
        if (!has_field) {
            ++totals.refused[exchange.name];
            return;
        }
        if (!*has_field) return;
        if (field.tag != 2 || field.type != codec::WireType::bytes) continue;
        const Result<WireTensor> tensor = decode_tensor(field.bytes);
        if (!tensor) {
            ++totals.refused[exchange.name];
            continue;
        }
        ++totals.tensors;
        codec::Buffer again;
        encode_tensor(again, *tensor);
        CHECK(to_hex(again) == to_hex(field.bytes));
        if (tensor->type == WireType::float32 && tensor->chunks <= 1)
            CHECK(float_values(*tensor, DecodeOptions{.is_finite_required = true}).has_value());
    }
}

bool carries_tensors(std::string_view method) {
    return method.starts_with("TransformerConnectionHandler.") && !method.ends_with(".rpc_info");
}

void check_unary(const Exchange& exchange, Totals& totals) {
    const auto sent = prefixed_message(exchange, without_negotiation(exchange.caller), totals);
    if (sent) {
        const Result<UnaryRequest> request = decode_unary_request(*sent);
        if (request) {
            ++totals.requests;
            check_same(*request, *sent);
            if (carries_tensors(request->method)) check_tensors(exchange, request->data, totals);
        } else {
            ++totals.refused[exchange.name];
        }
    }
    const auto received = prefixed_message(exchange, without_negotiation(exchange.callee), totals);
    if (!received) return;
    const Result<UnaryReply> reply = decode_unary_reply(*received);
    REQUIRE(reply.has_value());
    ++totals.replies;
    check_same(*reply, *received);
    if (reply->is_error)
        ++totals.failures;
    else if (carries_tensors(exchange.protocol))
        check_tensors(exchange, reply->data, totals);
}

void check_frame(const Exchange& exchange, const Frame& frame, Totals& totals) {
    ++totals.frames;
    if (frame.kind == FrameKind::message) {
        check_tensors(exchange, frame.payload, totals);
        return;
    }
    const Result<std::string> text = decode_error_text(frame.payload);
    REQUIRE(text.has_value());
    if (!text->empty()) ++totals.failures;
    const codec::Buffer again = encode_error_frame(*text);
    CHECK(to_hex(Bytes(again).subspan(kFrameHeaderBytes)) == to_hex(frame.payload));
}

void check_frames(const Exchange& exchange, Bytes bytes, Totals& totals) {
    FrameReader reader(RpcLimits().stream_message_bytes_max);
    while (!bytes.empty()) {
        const MutableBytes space = reader.space();
        const Bytes piece = bytes.first(std::min(space.size(), bytes.size()));
        std::ranges::copy(piece, space.begin());
        bytes = bytes.subspan(piece.size());
        const Result<bool> is_whole = reader.advance(piece.size());
        if (!is_whole) {
            ++totals.refused[exchange.name];
            return;
        }
        if (*is_whole) check_frame(exchange, reader.take(), totals);
    }
    CHECK(reader.is_between_frames());
}

bool is_streaming(std::string_view method) {
    return method.ends_with("_stream") || method.ends_with(".rpc_inference");
}

}  // namespace

TEST_CASE("every recorded call is read, and written again to the same bytes") {
    KWAAI_FIXTURE(path, "petals/transcripts.json");
    Totals totals;
    for (const Exchange& exchange : read_exchanges(path)) {
        CAPTURE(exchange.name);
        if (is_streaming(exchange.protocol)) {
            check_frames(exchange, without_negotiation(exchange.caller), totals);
            check_frames(exchange, without_negotiation(exchange.callee), totals);
        } else if (!exchange.protocol.ends_with(".rpc_nothing")) {
            check_unary(exchange, totals);
        }
    }
    CHECK(totals.requests == 83);
    CHECK(totals.replies == 75);
    CHECK(totals.failures == 27);
    CHECK(totals.frames == 270);
    CHECK(totals.tensors == 484);
    CHECK(totals.refused == std::map<std::string, int>{
                                {"envelope-of-4194305-bytes", 1},
                                {"error-call-id-15-bytes", 1},
                                {"error-envelope-missing-data-field", 1},
                                {"error-forward-buffer-size", 1},
                                {"error-forward-not-protobuf", 1},
                                {"error-inference-bad-marker", 1},
                                {"error-length-prefix-4194305", 1},
                                // Each second message is a chunk, for TensorJoiner.
                                {"rpc-forward-stream-two-parts-of-one-tensor", 2},
                            });
}

namespace {

// The tensors that one side of an exchange of the first set sent.
std::vector<WireTensor> tensors_of(const std::vector<Exchange>& exchanges,
                                   std::string_view name,
                                   bool is_caller) {
    for (const Exchange& exchange : exchanges) {
        if (exchange.name != name || exchange.set != "server-2.2.0.post1") continue;
        Bytes rest = without_negotiation(is_caller ? exchange.caller : exchange.callee);
        TensorJoiner joiner(1 << 20);
        const auto push_all = [&joiner](Bytes message) {
            codec::ProtoReader reader(message);
            codec::ProtoField field;
            while (*reader.next(field))
                if (field.tag == 2) REQUIRE(joiner.push(field.bytes).has_value());
        };
        if (is_streaming(exchange.protocol)) {
            while (rest.size() > kFrameHeaderBytes && rest[0] == std::byte{0}) {
                std::size_t size = 0;
                for (const std::byte byte : rest.subspan(1, 8))
                    size = size << 8 | std::to_integer<std::size_t>(byte);
                push_all(rest.subspan(kFrameHeaderBytes, size));
                rest = rest.subspan(kFrameHeaderBytes + size);
            }
        } else {
            const Bytes envelope = rest.subspan((**codec::read_varint(rest)).size);
            push_all(is_caller ? decode_unary_request(envelope)->data
                               : decode_unary_reply(envelope)->data);
        }
        auto tensors = joiner.finish();
        REQUIRE(tensors.has_value());
        return std::move(*tensors);
    }
    FAIL("no such exchange: " << name);
    return {};
}

}  // namespace

TEST_CASE("recorded tensors hold the recorded numbers") {
    KWAAI_FIXTURE(path, "petals/transcripts.json");
    KWAAI_FIXTURE(numbers, "petals/tensors.json");

    struct Case {
        const char* exchange;
        bool is_caller;
        std::size_t index;
        const char* tensor;
    };

    const std::vector<Exchange> exchanges = read_exchanges(path);
    const auto document = json::parse(testing::read_text(numbers));
    REQUIRE(document.has_value());
    const auto known = document->root().at("server-2.2.0.post1");
    REQUIRE(known.has_value());
    for (const Case& each : {
             Case{"rpc-forward", true, 0, "forward.input"},
             Case{"rpc-forward", false, 0, "forward.output"},
             Case{"rpc-backward", false, 0, "backward.grad_input"},
             Case{"rpc-forward-stream-two-parts-of-one-tensor", true, 0, "forward.input"},
             Case{"rpc-forward-stream-two-parts-of-one-tensor", false, 0, "forward.stream2.output"},
             Case{"rpc-inference-session", true, 0, "inference.prefill.input"},
             Case{"rpc-inference-session", false, 0, "inference.prefill.output"},
             Case{"rpc-inference-session", false, 1, "inference.step1.output"},
             Case{"rpc-inference-batch2-beam-reorder", false, 0, "beam.output"},
         }) {
        CAPTURE(each.tensor);
        const auto tensors = tensors_of(exchanges, each.exchange, each.is_caller);
        REQUIRE(tensors.size() > each.index);
        const auto values = float_values(tensors[each.index]);
        REQUIRE(values.has_value());
        const auto wanted = known->at(each.tensor);
        REQUIRE(wanted.has_value());
        CHECK(to_hex(std::as_bytes(std::span(*values))) == text_at(*wanted, "f32_le_hex"));
    }
}
