#include "p2p/muxer/yamux_wire.hpp"

#include <string>

namespace kwaai::p2p {
namespace {

constexpr std::byte kVersion{0};

template <class T>
void store_big_endian(std::byte* to, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
        to[i] = static_cast<std::byte>(value >> (8 * (sizeof(T) - 1 - i)));
}

std::uint32_t load_big_endian(std::span<const std::byte> bytes) {
    std::uint32_t value = 0;
    for (const std::byte byte : bytes)
        value = value << 8 | std::to_integer<std::uint32_t>(byte);
    return value;
}

}  // namespace

std::array<std::byte, kYamuxHeaderBytes> encode(const YamuxHeader& header) {
    std::array<std::byte, kYamuxHeaderBytes> bytes{};
    bytes[0] = kVersion;
    bytes[1] = static_cast<std::byte>(header.type);
    store_big_endian(&bytes[2], header.flags);
    store_big_endian(&bytes[4], header.stream);
    store_big_endian(&bytes[8], header.length);
    return bytes;
}

Result<YamuxHeader> decode_yamux_header(std::span<const std::byte, kYamuxHeaderBytes> bytes) {
    if (bytes[0] != kVersion)
        return fail(Errc::malformed,
                    "yamux: version " + std::to_string(std::to_integer<int>(bytes[0])) +
                        " where only 0 is known");
    if (bytes[1] > static_cast<std::byte>(YamuxType::go_away))
        return fail(Errc::malformed,
                    "yamux: unknown frame type " + std::to_string(std::to_integer<int>(bytes[1])));
    return YamuxHeader{.type = static_cast<YamuxType>(bytes[1]),
                       .flags = static_cast<std::uint16_t>(load_big_endian(bytes.subspan(2, 2))),
                       .stream = load_big_endian(bytes.subspan(4, 4)),
                       .length = load_big_endian(bytes.subspan(8, 4))};
}

}  // namespace kwaai::p2p
