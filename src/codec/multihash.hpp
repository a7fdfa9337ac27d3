// Self-describing digests: code, length, digest.
#pragma once
#include <cstdint>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"

namespace kwaai::codec {

enum class HashCode : std::uint64_t {  // NOLINT(performance-enum-size): of the wire
    identity = 0x00,
    sha1 = 0x11,
    sha2_256 = 0x12,
    sha2_512 = 0x13
};

struct Multihash {
    HashCode code = HashCode::identity;
    Bytes digest;          // a view into what was read
    std::size_t size = 0;  // bytes of the whole
};

/// The multihash at the front of `bytes`. `Errc::malformed` for one that is cut short, longer than
/// 128 bytes, or whose length does not fit its code; `unsupported` for another code.
[[nodiscard]] Result<Multihash> read_multihash(Bytes bytes);

[[nodiscard]] Buffer make_multihash(HashCode code, Bytes digest);

}  // namespace kwaai::codec
