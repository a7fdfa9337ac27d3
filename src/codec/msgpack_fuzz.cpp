// Arbitrary bytes as MessagePack: what is read, is written and read as the same bytes again.
#include <cstdint>
#include <cstdlib>

#include "codec/msgpack.hpp"

using namespace kwaai;
using namespace kwaai::codec;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto value = decode_msgpack(std::as_bytes(std::span(data, size)),
                                      {.bytes_max = 4096, .depth_max = 8, .values_max = 256});
    if (!value) return 0;
    (void)value->find("a");
    (void)value->elements();
    // Compared as bytes, since a NaN is not equal to itself.
    const Buffer once = encode_msgpack(*value);
    const auto again = decode_msgpack(once);
    if (!again || encode_msgpack(*again) != once) std::abort();
    return 0;
}
