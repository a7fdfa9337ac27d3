// Frames in and out of a YamuxState, for its tests.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "p2p/muxer/yamux_state.hpp"

namespace kwaai::p2p::yamux_test {

using namespace yamux_flag;

struct Frame {
    YamuxHeader header;
    std::string payload;

    friend bool operator==(const Frame&, const Frame&) = default;
};

inline Frame data(std::uint16_t flags, std::uint32_t stream, std::string payload) {
    const auto length = static_cast<std::uint32_t>(payload.size());
    return Frame{{.flags = flags, .stream = stream, .length = length}, std::move(payload)};
}

inline Frame update(std::uint16_t flags, std::uint32_t stream, std::uint32_t length) {
    return Frame{
        {.type = YamuxType::window_update, .flags = flags, .stream = stream, .length = length}, {}};
}

inline Frame ping(std::uint16_t flags, std::uint32_t value) {
    return Frame{{.type = YamuxType::ping, .flags = flags, .length = value}, {}};
}

inline Frame go_away(std::uint32_t code) {
    return Frame{{.type = YamuxType::go_away, .length = code}, {}};
}

inline std::string to_text(const Frame& frame) {
    const auto header = encode(frame.header);
    return std::string(as_text(header)).append(frame.payload);
}

inline std::vector<Frame> parse(Bytes bytes) {
    std::vector<Frame> frames;
    while (!bytes.empty()) {
        REQUIRE(bytes.size() >= kYamuxHeaderBytes);
        const auto header = decode_yamux_header(bytes.first<kYamuxHeaderBytes>());
        REQUIRE(header);
        bytes = bytes.subspan(kYamuxHeaderBytes);
        const std::size_t size = header->type == YamuxType::data ? header->length : 0;
        REQUIRE(bytes.size() >= size);
        frames.push_back(Frame{*header, std::string(as_text(bytes.first(size)))});
        bytes = bytes.subspan(size);
    }
    return frames;
}

/// A state and the hand of its peer.
struct Session {
    explicit Session(YamuxRole role, const Limits& limits = Limits()) : state(role, limits, now) {}

    void say(const Frame& frame) { state.receive(as_bytes(to_text(frame)), now); }

    /// All that leaves, except pings, until nothing is left.
    std::vector<Frame> heard() {
        std::vector<Frame> frames;
        while (state.has_output()) {
            std::vector<std::byte> out;
            state.produce(out, now);
            for (Frame& frame : parse(out)) {
                if (frame.header.type == YamuxType::ping && frame.header.flags == kSyn) {
                    pings.push_back(frame);
                } else {
                    frames.push_back(std::move(frame));
                }
            }
        }
        return frames;
    }

    std::string read(YamuxStream& stream, std::size_t bytes_max = 1 << 20) {
        std::vector<std::byte> bytes(bytes_max);
        bytes.resize(state.read(stream, bytes, now));
        return std::string(as_text(bytes));
    }

    /// The frame of `text` sent, which must leave at once.
    std::vector<Frame> write(YamuxStream& stream, std::string_view text) {
        const Bytes part = as_bytes(text);
        REQUIRE(state.begin_write(stream, std::span<const Bytes>(&part, 1)));
        std::vector<Frame> frames = heard();
        REQUIRE(!stream.is_writing);
        return frames;
    }

    YamuxStream& accept() {
        YamuxStream* const stream = state.accept(now);
        REQUIRE(stream != nullptr);
        return *stream;
    }

    /// Whether the session has said that the peer broke the protocol, and nothing else.
    bool has_broken_off() {
        const bool is_told = heard() == std::vector<Frame>{go_away(1)};
        return is_told && !state.is_reading() && state.is_flushed() &&
               state.reason()->code == Errc::malformed;
    }

    io::TimePoint now{std::chrono::hours(1)};
    YamuxState state;
    std::vector<Frame> pings;
};

}  // namespace kwaai::p2p::yamux_test
