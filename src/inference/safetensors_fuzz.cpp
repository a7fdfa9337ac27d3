// Any bytes as a safetensors file: whatever is accepted lies inside the file.
#include <cstdlib>

#include "inference/model_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kwaai;
    const MemorySource source("fuzz.safetensors", std::as_bytes(std::span(data, size)));
    inference::Metadata metadata;
    const auto tensors = inference::read_safetensors_header(source, metadata);
    if (!tensors) return 0;
    for (const inference::TensorInfo& tensor : *tensors)
        if (tensor.offset > size || tensor.size_bytes > size - tensor.offset) std::abort();
    return 0;
}
