// Hugging Face's tensor names in GGUF's terms; private to the model files of this room.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace kwaai::inference {

/// "model.layers.3.self_attn.q_proj.weight" (also without "model.") is "blk.3.attn_q.weight". Names
/// that mean nothing here stay as they are; nothing for buffers that follow from the configuration
/// (rotary_emb.inv_freq).
[[nodiscard]] std::optional<std::string> gguf_tensor_name(std::string_view name);

}  // namespace kwaai::inference
