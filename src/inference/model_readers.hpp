// What the readers of the two containers share; private to the model files of this room.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "inference/model_file.hpp"

namespace kwaai::inference {

/// A GGUF file, its other parts joined when it is split.
Result<ModelFile> open_gguf(const std::string& path, FileOpener& files);

/// A Hugging Face directory: config.json, model.safetensors or its shards, tokenizer files.
Result<ModelFile> open_hf_directory(const std::string& path, FileOpener& files);

/// A name from a file for messages: quoted, short, valid UTF-8.
[[nodiscard]] std::string shown(std::string_view name);

/// [4, 64], for messages.
[[nodiscard]] std::string shown_shape(const std::vector<std::uint64_t>& shape);

/// `Errc::malformed` when two tensors have the same name.
Result<void> check_unique_names(const std::vector<TensorInfo>& tensors);

/// The formats read_gguf and the safetensors reader accept, for messages.
inline constexpr std::string_view kReadableTypes =
    "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K";

/// Limits of a tensor's shape in any container.
inline constexpr std::uint64_t kDimensionsMax = 4;
inline constexpr std::uint64_t kExtentMax = std::uint64_t{1} << 40;

}  // namespace kwaai::inference
