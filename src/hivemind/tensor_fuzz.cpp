// Any bytes as a tensor: what is accepted fits its buffer, and written again reads the same.
#include <cstdint>
#include <cstdlib>

#include "hivemind/tensor_wire.hpp"

namespace {

using namespace kwaai;

void check_tensor(const hivemind::WireTensor& tensor) {
    if (tensor.shape.size() > 16 || tensor.element_count() > std::size_t{1} << 31) std::abort();
    const auto floats = hivemind::float_values(tensor);
    if (floats &&
        (floats->size() != tensor.element_count() || floats->size() * 2 > tensor.buffer.size()))
        std::abort();
    const auto integers = hivemind::int_values(tensor);
    if (integers && integers->size() * 8 != tensor.buffer.size()) std::abort();
    codec::Buffer bytes;
    hivemind::encode_tensor(bytes, tensor);
    const auto again = hivemind::decode_tensor(bytes);
    if (!again || again->shape != tensor.shape || again->type != tensor.type ||
        again->compression != tensor.compression || again->buffer != tensor.buffer ||
        again->requires_grad != tensor.requires_grad || again->chunks != tensor.chunks)
        std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes bytes = std::as_bytes(std::span(data, size));
    const auto tensor = hivemind::decode_tensor(bytes);
    if (tensor) check_tensor(*tensor);

    // Halves of the input as two chunks.
    hivemind::TensorJoiner joiner(1 << 20);
    if (!joiner.push(bytes.first(size / 2)) || !joiner.push(bytes.subspan(size / 2))) return 0;
    const auto joined = joiner.finish();
    if (!joined) return 0;
    for (const hivemind::WireTensor& each : *joined)
        check_tensor(each);
    return 0;
}
