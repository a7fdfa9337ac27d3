// Frames of WebSocket (RFC 6455 section 5) as bytes. Pure.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace kwaai::http {

enum class WsOpcode : std::uint8_t {
    continuation = 0,
    text = 1,
    binary = 2,
    close = 8,
    ping = 9,
    pong = 10,
};

/// Why a connection ends, as the peer is told (section 7.4.1).
enum class WsCloseCode : std::uint16_t {
    normal = 1000,
    protocol_error = 1002,
    unsupported_data = 1003,
    too_large = 1009,
};

using WsMask = std::array<std::byte, 4>;

constexpr std::size_t kWsHeaderBytesMax = 14;
constexpr std::size_t kWsControlBytesMax = 125;  // payload of close, ping and pong

struct WsHeader {
    WsOpcode opcode = WsOpcode::binary;
    bool is_final = true;
    std::optional<WsMask> mask;  // a client's frames have one
    std::uint64_t payload_bytes = 0;
};

[[nodiscard]] bool is_control(WsOpcode opcode);

/// Writes the shortest form to the front of `into` and returns its size, 2 to 14.
std::size_t write_ws_header(const WsHeader& header, std::span<std::byte, kWsHeaderBytesMax> into);

struct WsParsedHeader {
    WsHeader header;
    std::size_t size = 0;
};

/// The header at the front of `bytes`; nothing where more bytes are needed. `Errc::malformed` for
/// reserved bits and opcodes, a length not in its shortest form or above 2^63, and control frames
/// that are fragmented or longer than 125 bytes.
[[nodiscard]] Result<std::optional<WsParsedHeader>> read_ws_header(Bytes bytes);

/// Masks, or unmasks, bytes that begin `offset` bytes into a frame's payload.
void apply_ws_mask(MutableBytes bytes, const WsMask& mask, std::uint64_t offset);

/// The code in a Close frame's payload: nothing where that is empty. `Errc::malformed` for one byte
/// and for codes that must not be sent (section 7.4), and for a reason that is no UTF-8.
[[nodiscard]] Result<std::optional<std::uint16_t>> read_ws_close(Bytes payload);

}  // namespace kwaai::http
