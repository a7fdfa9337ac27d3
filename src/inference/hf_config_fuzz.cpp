// Any text as config.json, and what it says as the configuration of a model with one tensor, which
// no configuration fits.
#include <cstdlib>

#include "inference/hf_config.hpp"
#include "inference/model_config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kwaai;
    inference::ModelFile file;
    file.container = inference::Container::safetensors;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (!inference::read_hf_config(text, file.metadata)) return 0;
    file.tensors.push_back({.name = "token_embd.weight",
                            .dtype = tensor::Dtype::f32,
                            .shape = {5, 8},
                            .offset = 0,
                            .size_bytes = 160,
                            .source = 0});
    if (inference::read_config(file)) std::abort();
    return 0;
}
