// Arbitrary bytes as a varint and as a multihash: what is read is written back as the same bytes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "codec/multihash.hpp"
#include "codec/varint.hpp"

using namespace kwaai;
using namespace kwaai::codec;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes input = std::as_bytes(std::span(data, size));
    if (const auto varint = read_varint(input); varint && *varint) {
        Buffer out;
        append_varint(out, (*varint)->value);
        if (out.size() != (*varint)->size || varint_size((*varint)->value) != out.size())
            std::abort();
        if (!std::ranges::equal(out, input.first(out.size()))) std::abort();
    }
    if (const auto hash = read_multihash(input)) {
        const Buffer out = make_multihash(hash->code, hash->digest);
        if (!std::ranges::equal(out, input.first(hash->size))) std::abort();
    }
    return 0;
}
