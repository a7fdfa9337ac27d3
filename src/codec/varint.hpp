// Unsigned varints: LEB128, little end first. libp2p's are minimal and at most 9 bytes; protobuf's
// (protobuf.hpp) are not.
#pragma once
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"

namespace kwaai::codec {

constexpr std::size_t kVarintBytesMax = 9;

struct Varint {
    std::uint64_t value = 0;
    std::size_t size = 0;  // bytes it took
};

/// The varint at the front of `bytes`; nothing where more bytes are needed. `Errc::malformed` for
/// one that is longer than 9 bytes or not minimal (multiformats unsigned-varint).
[[nodiscard]] Result<std::optional<Varint>> read_varint(Bytes bytes);

void append_varint(Buffer& out, std::uint64_t value);

[[nodiscard]] std::size_t varint_size(std::uint64_t value);

}  // namespace kwaai::codec
