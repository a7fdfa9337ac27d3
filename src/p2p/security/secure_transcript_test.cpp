// A recorded conversation with a stock Petals server (go-libp2p 0.32.1): our side sends the same
// bytes again and reads what the server wrote.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "json/document.hpp"
#include "p2p/security/secure_world_test.hpp"
#include "testing/fixtures.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using io::Stream;
using io::Task;

namespace {

// Both sides of the raw connection, and the yamux bytes inside it.
struct Recording {
    codec::Buffer client;
    codec::Buffer server;
    std::string client_plain;
    std::string server_plain;
};

std::string text_of(const json::Value& value, std::string_view key) {
    const std::optional<json::Value> found = value.find(key);
    return found ? std::string(found->string().value()) : std::string();
}

std::uint32_t number_of(const json::Value& value, std::string_view key) {
    return static_cast<std::uint32_t>(value.at(key).value().unsigned_integer().value());
}

// The yamux frame that an entry of `plain` describes.
codec::Buffer yamux_frame(const json::Value& frame) {
    constexpr std::string_view kTypes[] = {"data", "window", "ping", "goaway"};
    const codec::Buffer payload = from_hex(text_of(frame, "data"));
    std::uint32_t type = 0;
    while (!frame.find(kTypes[type]))
        ++type;
    const std::uint32_t value =
        type == 0 ? static_cast<std::uint32_t>(payload.size()) : number_of(frame, kTypes[type]);
    const std::string flags = text_of(frame, "flags");
    const std::uint32_t flag_bits = (flags.contains("SYN") ? 1u : 0u) |
                                    (flags.contains("ACK") ? 2u : 0u) |
                                    (flags.contains("FIN") ? 4u : 0u);
    codec::Buffer bytes;
    for (const std::uint32_t word : {type << 16 | flag_bits, number_of(frame, "id"), value})
        for (int shift = 24; shift >= 0; shift -= 8)
            bytes.push_back(static_cast<std::byte>(word >> shift & 0xff));
    codec::append(bytes, payload);
    return bytes;
}

Recording read_recording(const json::Value& exchange) {
    Recording recording;
    const json::Array events = exchange.at("events").value().array().value();
    for (const json::Value event : events)
        codec::append(text_of(event, "from") == "C" ? recording.client : recording.server,
                      from_hex(text_of(event, "data")));
    const json::Array frames = exchange.at("plain").value().array().value();
    for (const json::Value frame : frames)
        (text_of(frame, "from") == "C" ? recording.client_plain : recording.server_plain) +=
            as_text(yamux_frame(frame));
    // The recorder does not list the GoAway with which it ended.
    recording.client_plain += as_text(from_hex("000300000000000000000000"));
    return recording;
}

// The plaintext sizes of the records behind `skipped` bytes: where the recorded client cut.
std::vector<std::size_t> record_sizes(Bytes bytes, std::size_t skipped) {
    std::vector<std::size_t> sizes;
    bytes = bytes.subspan(skipped);
    while (!bytes.empty()) {
        const std::size_t size =
            std::to_integer<std::size_t>(bytes[0]) << 8 | std::to_integer<std::size_t>(bytes[1]);
        sizes.push_back(size - crypto::kTagBytes);
        bytes = bytes.subspan(2 + size);
    }
    return sizes;
}

Task<void> replay(io::TaskGroup& group,
                  const Recording& recording,
                  std::vector<codec::Buffer>& flights) {
    static const auto serving = [](Stream& server, const Recording& tape) -> Task<void> {
        const Bytes bytes(tape.server);
        const Result<> written = co_await server.write(bytes);
        CHECK(written.has_value());
        (void)co_await server.shutdown_write();
    };
    testing::StreamPair pair = testing::make_stream_pair({.seed = 5, .capacity = 1 << 16});
    group.spawn(serving, std::ref(*pair.server), std::cref(recording));
    auto raw = std::make_unique<RecordingStream>(std::move(pair.client), flights);
    const SecureIdentity identity = initiator_identity();
    const std::vector<Security> securities{Security::noise};
    const std::vector<std::string> muxers{"/yamux/1.0.0"};
    Result<SecureChannel> channel =
        co_await secure_outbound(std::move(raw), identity, securities, muxers, std::nullopt);
    REQUIRE_MESSAGE(channel.has_value(), channel.error().context);
    CHECK(channel->remote_key.type() == crypto::KeyType::rsa);
    CHECK(channel->muxer == "/yamux/1.0.0");

    constexpr std::size_t kBeforeRecords = 28 + 2 + 32 + 2 + 0xb8;
    std::string_view plain = recording.client_plain;
    for (const std::size_t size : record_sizes(recording.client, kBeforeRecords)) {
        const bool is_sent = co_await send(*channel->stream, plain.substr(0, size));
        CHECK(is_sent);
        plain.remove_prefix(size);
    }
    CHECK(plain.empty());
    const std::string read = co_await receive(*channel->stream, recording.server_plain.size());
    CHECK((read == recording.server_plain));
    const std::string behind = co_await receive(*channel->stream, 1);
    CHECK(behind.empty());
}

}  // namespace

TEST_CASE("a recorded session with a stock server is repeated byte for byte") {
    KWAAI_FIXTURE(path, "petals/transcripts.json");
    const Result<json::Document> document = json::parse(testing::read_text(path));
    REQUIRE(document.has_value());
    int found = 0;
    const json::Array sets = document->root().at("sets").value().array().value();
    for (const json::Value set : sets) {
        const json::Array exchanges = set.at("exchanges").value().array().value();
        for (const json::Value exchange : exchanges) {
            if (text_of(exchange, "name") != "tcp-noise-yamux-identify") continue;
            ++found;
            const Recording recording = read_recording(exchange);
            std::vector<codec::Buffer> flights;
            testing::Simulation simulation;
            simulation.run(io::with_group(replay, std::cref(recording), std::ref(flights)));
            codec::Buffer sent;
            for (const codec::Buffer& flight : flights)
                codec::append(sent, flight);
            CHECK(to_hex(sent) == to_hex(recording.client));
        }
    }
    CHECK(found == 1);
}
