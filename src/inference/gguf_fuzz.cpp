// Any bytes as a GGUF file: whatever is accepted lies inside the file, and its configuration keeps
// its limits.
#include <cstdlib>

#include "inference/model_config.hpp"
#include "inference/model_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kwaai;
    const Bytes bytes = std::as_bytes(std::span(data, size));
    const auto file = inference::read_gguf(std::make_unique<MemorySource>("fuzz.gguf", bytes));
    if (!file) return 0;
    for (const inference::TensorInfo& tensor : file->tensors)
        if (tensor.offset > size || tensor.size_bytes > size - tensor.offset) std::abort();
    const auto config = inference::read_config(*file);
    if (config && (config->head_dim % 2 != 0 || config->head_count % config->kv_head_count != 0 ||
                   config->rope.dimensions > config->head_dim))
        std::abort();
    return 0;
}
