#include "http/websocket_wire.hpp"

#include <bit>
#include <cstring>
#include <string>

#include "base/utf8.hpp"

namespace kwaai::http {
namespace {

constexpr unsigned kFinalBit = 0x80;
constexpr unsigned kReservedBits = 0x70;
constexpr unsigned kOpcodeBits = 0x0f;
constexpr unsigned kMaskBit = 0x80;
constexpr unsigned kLengthBits = 0x7f;
constexpr unsigned kLength16 = 126;
constexpr unsigned kLength64 = 127;

bool is_known(unsigned opcode) {
    return opcode <= 2 || (opcode >= 8 && opcode <= 10);
}

std::uint64_t read_big_endian(Bytes bytes) {
    std::uint64_t number = 0;
    for (const std::byte byte : bytes)
        number = number << 8 | std::to_integer<std::uint64_t>(byte);
    return number;
}

void write_big_endian(std::uint64_t number, MutableBytes into) {
    for (std::size_t i = into.size(); i > 0; --i) {
        into[i - 1] = static_cast<std::byte>(number & 0xff);
        number >>= 8;
    }
}

bool may_be_sent(std::uint64_t code) {
    if (code >= 3000 && code <= 4999) return true;  // of libraries and applications
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

}  // namespace

bool is_control(WsOpcode opcode) {
    return static_cast<unsigned>(opcode) >= 8;
}

std::size_t write_ws_header(const WsHeader& header, std::span<std::byte, kWsHeaderBytesMax> into) {
    const auto opcode = static_cast<unsigned>(header.opcode);
    into[0] = static_cast<std::byte>(header.is_final ? kFinalBit | opcode : opcode);
    const unsigned mask_bit = header.mask ? kMaskBit : 0;
    std::size_t size = 2;
    if (header.payload_bytes < kLength16) {
        into[1] = static_cast<std::byte>(mask_bit | static_cast<unsigned>(header.payload_bytes));
    } else if (header.payload_bytes <= 0xffff) {
        into[1] = static_cast<std::byte>(mask_bit | kLength16);
        write_big_endian(header.payload_bytes, into.subspan(2, 2));
        size = 4;
    } else {
        into[1] = static_cast<std::byte>(mask_bit | kLength64);
        write_big_endian(header.payload_bytes, into.subspan(2, 8));
        size = 10;
    }
    if (!header.mask) return size;
    std::memcpy(into.data() + size, header.mask->data(), header.mask->size());
    return size + header.mask->size();
}

Result<std::optional<WsParsedHeader>> read_ws_header(Bytes bytes) {
    if (bytes.size() < 2) return std::nullopt;
    const auto first = std::to_integer<unsigned>(bytes[0]);
    const auto second = std::to_integer<unsigned>(bytes[1]);
    if ((first & kReservedBits) != 0) return fail(Errc::malformed, "a frame with reserved bits");
    const unsigned opcode = first & kOpcodeBits;
    if (!is_known(opcode))
        return fail(Errc::malformed, "a frame with the reserved opcode " + std::to_string(opcode));
    const unsigned short_length = second & kLengthBits;
    WsParsedHeader parsed{.header = {.opcode = static_cast<WsOpcode>(opcode),
                                     .is_final = (first & kFinalBit) != 0,
                                     .mask = {},
                                     .payload_bytes = short_length},
                          .size = 2};
    if (is_control(parsed.header.opcode) && (!parsed.header.is_final || short_length >= kLength16))
        return fail(Errc::malformed, "a control frame that is fragmented or too long");
    if (short_length >= kLength16) {
        const std::size_t length_bytes = short_length == kLength16 ? 2 : 8;
        if (bytes.size() < 2 + length_bytes) return std::nullopt;
        const std::uint64_t length = read_big_endian(bytes.subspan(2, length_bytes));
        const std::uint64_t least = short_length == kLength16 ? kLength16 : 0x10000;
        if (length < least || length >> 63 != 0)
            return fail(Errc::malformed,
                        "a length of " + std::to_string(length) + " in a form that is not for it");
        parsed.header.payload_bytes = length;
        parsed.size += length_bytes;
    }
    if ((second & kMaskBit) != 0) {
        WsMask mask;
        if (bytes.size() < parsed.size + mask.size()) return std::nullopt;
        std::memcpy(mask.data(), bytes.data() + parsed.size, mask.size());
        parsed.header.mask = mask;
        parsed.size += mask.size();
    }
    return parsed;
}

void apply_ws_mask(MutableBytes bytes, const WsMask& mask, std::uint64_t offset) {
    std::array<std::byte, 8> pattern;
    for (std::size_t i = 0; i < pattern.size(); ++i)
        pattern[i] = mask[(offset + i) % mask.size()];
    const auto word = std::bit_cast<std::uint64_t>(pattern);
    std::size_t done = 0;
    for (; done + sizeof word <= bytes.size(); done += sizeof word) {
        std::uint64_t part = 0;
        std::memcpy(&part, bytes.data() + done, sizeof part);
        part ^= word;
        std::memcpy(bytes.data() + done, &part, sizeof part);
    }
    for (std::size_t i = 0; done + i < bytes.size(); ++i)
        bytes[done + i] ^= pattern[i];
}

Result<std::optional<std::uint16_t>> read_ws_close(Bytes payload) {
    if (payload.empty()) return std::nullopt;
    if (payload.size() == 1) return fail(Errc::malformed, "half a close code");
    const std::uint64_t code = read_big_endian(payload.first(2));
    if (!may_be_sent(code)) return fail(Errc::malformed, "the close code " + std::to_string(code));
    if (!is_utf8(as_text(payload.subspan(2))))
        return fail(Errc::malformed, "a close reason that is no UTF-8");
    return static_cast<std::uint16_t>(code);
}

}  // namespace kwaai::http
