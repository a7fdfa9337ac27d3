#include "codec/varint.hpp"

#include <algorithm>

namespace kwaai::codec {

Result<std::optional<Varint>> read_varint(Bytes bytes) {
    std::uint64_t value = 0;
    const std::size_t limit = std::min(bytes.size(), kVarintBytesMax);
    for (std::size_t i = 0; i < limit; ++i) {
        const auto byte = std::to_integer<std::uint64_t>(bytes[i]);
        value |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            if (byte == 0 && i > 0)
                return fail(Errc::malformed, "a varint is longer than its value needs");
            return Varint{value, i + 1};
        }
    }
    if (bytes.size() >= kVarintBytesMax)
        return fail(Errc::malformed, "a varint is longer than 9 bytes");
    return std::nullopt;
}

void append_varint(Buffer& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        out.push_back(static_cast<std::byte>((value & 0x7f) | 0x80));
    out.push_back(static_cast<std::byte>(value));
}

std::size_t varint_size(std::uint64_t value) {
    std::size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        ++size;
    return size;
}

}  // namespace kwaai::codec
