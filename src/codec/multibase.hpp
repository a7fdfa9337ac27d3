// Bytes as text: base16, 32, 36, 58btc, 64 and 64url, and multibase's prefix letters.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"

namespace kwaai::codec {

/// The multibase prefix letter is the enumerator's value. Upper-case twins (F B K M U) are read.
enum class Base : char {
    base16 = 'f',
    base32 = 'b',    // lower case, no padding
    base36 = 'k',    // lower case
    base58 = 'z',    // bitcoin's alphabet
    base64 = 'm',    // no padding
    base64url = 'u'  // no padding
};

/// Without a prefix. base36 and base58 take quadratic time: `bytes` must be at most 1024 bytes
/// long (checked).
[[nodiscard]] std::string encode_base(Base base, Bytes bytes);

/// The inverse, without a prefix. `Errc::malformed` names the first wrong character;
/// `limit_exceeded` for more than 4096 characters.
[[nodiscard]] Result<Buffer> decode_base(Base base, std::string_view text);

/// With the prefix letter.
[[nodiscard]] std::string encode_multibase(Base base, Bytes bytes);
/// `Errc::unsupported` for a prefix that is none of the above.
[[nodiscard]] Result<Buffer> decode_multibase(std::string_view text);

}  // namespace kwaai::codec
