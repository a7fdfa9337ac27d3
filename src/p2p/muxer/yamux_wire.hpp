// The frames of yamux (/yamux/1.0.0): a header of 12 bytes, big-endian; see libp2p.md §1.9.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.hpp"

namespace kwaai::p2p {

enum class YamuxType : std::uint8_t {
    data,           ///< `length` bytes of payload follow
    window_update,  ///< `length` is added to the window; with RST it is a reason (go-yamux 5)
    ping,           ///< `length` is a value to be sent back
    go_away,        ///< `length` is a YamuxGoAway
};

namespace yamux_flag {

inline constexpr std::uint16_t kSyn = 1;
inline constexpr std::uint16_t kAck = 2;
inline constexpr std::uint16_t kFin = 4;
inline constexpr std::uint16_t kRst = 8;

}  // namespace yamux_flag

enum class YamuxGoAway : std::uint32_t {  // NOLINT(performance-enum-size): of the wire
    normal,
    protocol_error,
    internal_error
};

struct YamuxHeader {
    YamuxType type = YamuxType::data;
    std::uint16_t flags = 0;   ///< unknown bits are kept, and ignored by all
    std::uint32_t stream = 0;  ///< 0 is the session itself
    std::uint32_t length = 0;

    friend bool operator==(const YamuxHeader&, const YamuxHeader&) = default;
};

inline constexpr std::size_t kYamuxHeaderBytes = 12;

[[nodiscard]] std::array<std::byte, kYamuxHeaderBytes> encode(const YamuxHeader& header);

/// `Errc::malformed` for another version or an unknown type.
[[nodiscard]] Result<YamuxHeader> decode_yamux_header(
    std::span<const std::byte, kYamuxHeaderBytes> bytes);

}  // namespace kwaai::p2p
