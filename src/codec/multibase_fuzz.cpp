// Arbitrary text in each base: what is read, is written as text that reads as the same bytes; any
// bytes survive the way there and back.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "codec/multibase.hpp"

using namespace kwaai;
using namespace kwaai::codec;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 256) return 0;
    const Bytes input = std::as_bytes(std::span(data, size));
    (void)decode_multibase(as_text(input));
    for (const Base base :
         {Base::base16, Base::base32, Base::base36, Base::base58, Base::base64, Base::base64url}) {
        const auto bytes = decode_multibase(encode_multibase(base, input));
        if (!bytes || !std::ranges::equal(*bytes, input)) std::abort();
        const auto read = decode_base(base, as_text(input));
        if (!read) continue;
        const auto again = decode_base(base, encode_base(base, *read));
        if (!again || *again != *read) std::abort();
    }
    return 0;
}
