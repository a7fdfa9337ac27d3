// config.json of a Hugging Face directory in GGUF's terms; private to the model files of this room.
#pragma once
#include <string_view>

#include "inference/model_file.hpp"

namespace kwaai::inference {

/// Translates the text of config.json to the metadata a GGUF file of the same model would have
/// (general.architecture, llama.block_count, ...), and three keys of our own:
/// hf.tie_word_embeddings, and A.rope.scaling.{low_freq_factor,high_freq_factor} for llama3 and
/// A.rope.scaling.attention_factor for YaRN. Ranges are checked by read_config. `Errc::malformed`
/// names the member; `unsupported` names the architecture or feature.
Result<void> read_hf_config(std::string_view text, Metadata& metadata);

}  // namespace kwaai::inference
