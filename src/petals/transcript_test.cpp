// Exchanges recorded with real Petals peers (fixtures/petals, see its README): what stock clients
// sent is sent to our server of the same model, and its answers are held against the stock
// server's.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "codec/varint.hpp"
#include "engine/inline_block_backend.hpp"
#include "hivemind/rpc_frames.hpp"
#include "hivemind/rpc_wire.hpp"
#include "json/document.hpp"
#include "petals/server_info.hpp"
#include "petals/server_world_test.hpp"
#include "petals/vectors_test.hpp"
#include "testing/fixtures.hpp"

using namespace kwaai;
using namespace kwaai::petals;
using io::Task;

namespace {

using ModelWorld = ServerWorld<engine::InlineBlockBackend>;

struct Exchange {
    std::string set;
    std::string name;
    std::string protocol;
    codec::Buffer client;  // behind the negotiation, as all that follows
    codec::Buffer server;
};

std::string text_at(json::Value value, std::string_view key) {
    const auto member = value.given(key);
    return member ? std::string(*member->string()) : std::string();
}

// Behind the two lines of multistream-select.
codec::Buffer without_negotiation(Bytes bytes) {
    for (int line = 0; line < 2; ++line) {
        const auto length = codec::read_varint(bytes);
        if (!length || !*length) return {};
        bytes = bytes.subspan((*length)->size + static_cast<std::size_t>((*length)->value));
    }
    return codec::to_buffer(bytes);
}

// The calls of one method; none of them is opened by the server.
std::vector<Exchange> read_exchanges(const std::string& path, std::string_view method) {
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
            if (text_at(value, "protocol") != method) continue;
            const auto events = value.at("events")->array();
            REQUIRE(events.has_value());
            codec::Buffer client;
            codec::Buffer server;
            for (const json::Value event : *events)
                codec::append(text_at(event, "from") == "C" ? client : server,
                              from_hex(text_at(event, "data")));
            if (client.empty()) continue;  // only counted
            exchanges.push_back({.set = text_at(set, "name"),
                                 .name = text_at(value, "name"),
                                 .protocol = std::string(method),
                                 .client = without_negotiation(client),
                                 .server = without_negotiation(server)});
        }
    }
    return exchanges;
}

std::vector<hivemind::Frame> frames_of(Bytes bytes) {
    std::vector<hivemind::Frame> frames;
    hivemind::FrameReader reader(std::size_t{1} << 20);
    while (!bytes.empty()) {
        const MutableBytes space = reader.space();
        const std::size_t count = std::min(space.size(), bytes.size());
        std::ranges::copy(bytes.first(count), space.begin());
        bytes = bytes.subspan(count);
        const Result<bool> is_whole = reader.advance(count);
        REQUIRE(is_whole.has_value());
        if (*is_whole) frames.push_back(reader.take());
    }
    CHECK(reader.is_between_frames());
    return frames;
}

// 2048 tokens of cache, as the recorded servers had.
std::unique_ptr<ModelWorld> serve_model(const std::string& directory) {
    constexpr std::uint64_t kCacheBytes = std::uint64_t{1} << 20;
    auto backend = engine::InlineBlockBackend::load(directory, std::nullopt, kCacheBytes);
    REQUIRE(backend.has_value());
    ServerOptions options{.prefix = "tiny-llama-hf", .version = "0.1", .rows = {}, .limits = {}};
    return std::make_unique<ModelWorld>(std::move(*backend), options);
}

Task<void> write_all(p2p::Stream& stream, const codec::Buffer& bytes) {
    const Bytes view(bytes);
    (void)co_await stream.write(view);  // the server may have ended before
}

Task<void> read_all(p2p::Stream& stream, codec::Buffer& into) {
    std::array<std::byte, 4096> piece;
    while (true) {
        const Result<std::size_t> count = co_await stream.read_some(piece);
        if (!count || *count == 0) co_return;
        codec::append(into, Bytes(piece).first(*count));
    }
}

// What our server answers to the recorded client.
codec::Buffer replay(ModelWorld& world, const Exchange& exchange) {
    static const Exchange* current = nullptr;
    static codec::Buffer answer;
    current = &exchange;
    answer.clear();
    world.run([](ModelWorld& own) -> Task<void> {
        const bool is_unary = current->protocol == kInfoMethod;
        const auto stream = own.connect(is_unary ? kInfoMethod : kInferenceMethod);
        co_await write_all(*stream, current->client);
        co_await read_all(*stream, answer);
        stream->close();
    });
    return answer;
}

std::string error_text(const hivemind::Frame& frame) {
    return frame.kind == hivemind::FrameKind::error
               ? hivemind::decode_error_text(frame.payload).value()
               : "no error";
}

// Of an answer: the size of the difference as a share of the answer's. The stock server keeps keys
// and values in f32 and we in f16, which alone makes 5e-4 of it in this model (computed in double
// with and without that rounding: 4.9e-4 and 7e-7).
struct Deviation {
    static constexpr double kTolerance = 2e-3;

    void add(const std::vector<float>& ours, const std::vector<float>& theirs) {
        REQUIRE(ours.size() == theirs.size());
        double difference = 0;
        double size = 0;
        for (std::size_t i = 0; i < ours.size(); ++i) {
            difference += std::pow(double{ours[i]} - double{theirs[i]}, 2);
            size += std::pow(double{theirs[i]}, 2);
        }
        if (size > 0) largest = std::max(largest, std::sqrt(difference / size));
    }

    double largest = 0;
};

// The same bytes, but for the numbers, which are added to the deviation.
void compare_reply(const hivemind::Frame& ours,
                   const hivemind::Frame& theirs,
                   Deviation& deviation) {
    REQUIRE(ours.kind == hivemind::FrameKind::message);
    REQUIRE(theirs.kind == hivemind::FrameKind::message);
    CHECK(ours.payload.size() == theirs.payload.size());
    ExpertMessage mine = decode_message(ours.payload).value();
    ExpertMessage stock = decode_message(theirs.payload).value();
    REQUIRE(mine.tensors.size() == 1);
    REQUIRE(stock.tensors.size() == 1);
    CHECK(encode_message(stock) == theirs.payload);
    deviation.add(hivemind::float_values(mine.tensors[0]).value(),
                  hivemind::float_values(stock.tensors[0]).value());
    mine.tensors[0].buffer = stock.tensors[0].buffer;
    CHECK(encode_message(mine) == theirs.payload);
}

bool is_any_of(std::string_view name, std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, name) != names.end();
}

// Where we differ on purpose: the last frame of ours, instead of the stock server's.
std::string_view own_end(const Exchange& exchange) {
    if (exchange.name == "error-inference-cache-full")  // 2 bytes a value where they have 4
        return "Could not allocate 2048000 bytes immediately: out of memory";
    if (exchange.name == "error-inference-row-shape")
        return "hidden states of shape [1, 5, 63] where this session takes [1, tokens, 64]";
    if (exchange.name == "error-inference-position-beyond-prefix")
        return "start_from_position 12 is beyond the session's 5 positions";
    return {};
}

// Exchanges whose course depends on other streams or on a caller who leaves.
bool is_replayable(const Exchange& exchange) {
    return !exchange.name.starts_with("cancel-") &&
           !is_any_of(exchange.name,
                      {"error-inference-bad-marker", "rpc-inference-duplicate-session-id"});
}

void check_inference(ModelWorld& world, const Exchange& exchange, Deviation& deviation) {
    CAPTURE(exchange.set);
    CAPTURE(exchange.name);
    const std::vector<hivemind::Frame> theirs = frames_of(exchange.server);
    const std::vector<hivemind::Frame> ours = frames_of(replay(world, exchange));
    // Petals 2.2.0 does not go back where the client asks for it: its last answer is wrong.
    const bool is_wrong_there =
        exchange.name == "rpc-inference-session" && exchange.set == "server-2.2.0.post1";
    const std::string_view end = own_end(exchange);
    REQUIRE(ours.size() == theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
        const bool is_last = i + 1 == ours.size();
        if (is_last && is_wrong_there) continue;
        if (is_last && !end.empty()) {
            CHECK(error_text(ours[i]) == end);
        } else if (theirs[i].kind == hivemind::FrameKind::error) {
            CHECK(error_text(ours[i]) == error_text(theirs[i]));
            CHECK(ours[i].payload == theirs[i].payload);
        } else {
            compare_reply(ours[i], theirs[i], deviation);
        }
    }
    CHECK(world.service.session_count() == 0);
    CHECK(world.backend->stats().kv_tokens_free == 2048);
}

codec::Buffer info_of(Bytes reply_envelope) {
    const auto length = codec::read_varint(reply_envelope);
    const auto reply = hivemind::decode_unary_reply(reply_envelope.subspan((*length)->size));
    REQUIRE(reply.has_value());
    if (reply->is_error) return codec::to_buffer(reply->data);
    return decode_info(reply->data).value();
}

}  // namespace

TEST_CASE("every recorded inference is answered as the stock server answered it") {
    KWAAI_FIXTURE(transcripts, "petals/transcripts.json");
    KWAAI_FIXTURE(model, "petals/model");
    const auto world = serve_model(model);
    Deviation deviation;
    std::size_t count = 0;
    for (const Exchange& exchange : read_exchanges(transcripts, kInferenceMethod)) {
        if (!is_replayable(exchange)) continue;
        check_inference(*world, exchange, deviation);
        ++count;
    }
    MESSAGE(count << " exchanges, largest deviation " << deviation.largest);
    CHECK(count >= 30);
    CHECK(deviation.largest <= Deviation::kTolerance);
}

TEST_CASE("every recorded request is decoded, and encoded again to its bytes") {
    KWAAI_FIXTURE(transcripts, "petals/transcripts.json");
    std::size_t requests = 0;
    for (const Exchange& exchange : read_exchanges(transcripts, kInferenceMethod)) {
        if (exchange.name == "error-inference-bad-marker") continue;
        CAPTURE(exchange.name);
        for (const hivemind::Frame& frame : frames_of(exchange.client)) {
            if (frame.kind == hivemind::FrameKind::error) continue;
            const ExpertMessage message = decode_message(frame.payload).value();
            CHECK(encode_message(message) == frame.payload);
            CHECK(decode_step(message.metadata).has_value());
            ++requests;
        }
    }
    CHECK(requests >= 80);
}

TEST_CASE("a step that we would send has the bytes of the stock client's") {
    KWAAI_FIXTURE(transcripts, "petals/transcripts.json");
    std::size_t steps = 0;
    for (const Exchange& exchange : read_exchanges(transcripts, kInferenceMethod)) {
        if (!exchange.set.starts_with("client-main")) continue;
        for (const hivemind::Frame& frame : frames_of(exchange.client)) {
            if (frame.kind == hivemind::FrameKind::error || frame.payload.empty()) continue;
            const ExpertMessage message = decode_message(frame.payload).value();
            const StepMetadata step = decode_step(message.metadata).value();
            const SentStep ours{.session_id = step.session_id.value(),
                                .step_id = step.step_id.value(),
                                .max_length = step.max_length,
                                .start_from_position = step.start_from_position,
                                .tensor_count = 3};
            CHECK(encode_step(ours) == message.metadata);
            ++steps;
        }
    }
    CHECK(steps >= 10);
}

TEST_CASE(
    "every recorded rpc_info is answered with the stock server's map, and our key behind it") {
    KWAAI_FIXTURE(transcripts, "petals/transcripts.json");
    KWAAI_FIXTURE(model, "petals/model");
    const auto world = serve_model(model);
    world->service.set_digest({});
    std::size_t count = 0;
    for (const Exchange& exchange : read_exchanges(transcripts, kInfoMethod)) {
        CAPTURE(exchange.set);
        CAPTURE(exchange.name);
        const codec::Buffer theirs = info_of(exchange.server);
        const codec::Buffer ours = info_of(replay(*world, exchange));
        ++count;
        if (exchange.name == "rpc-info-unknown-uid") {
            CHECK(as_text(theirs) == "KeyError('tiny-llama-hf.9')");
            CHECK(as_text(ours) == "Remote peer does not serve tiny-llama-hf.9");
            continue;
        }
        ServerInfo stock = decode_server_info(theirs).value();
        CHECK(encode_server_info(stock) == theirs);
        ServerInfo own = decode_server_info(ours).value();
        REQUIRE(own.kwaai.has_value());
        CHECK(own.kwaai->range == inference::BlockRange{0, 4});
        if (exchange.name != "rpc-info-while-100-tokens-reserved")
            CHECK(own.cache_tokens_available == stock.cache_tokens_available);
        own.kwaai.reset();
        own.version = stock.version;
        own.cache_tokens_available = stock.cache_tokens_available;
        CHECK(encode_server_info(own) == theirs);
    }
    CHECK(count >= 10);
}
