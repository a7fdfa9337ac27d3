#include "inference/hf_names.hpp"

#include <algorithm>

namespace kwaai::inference {
namespace {

struct Pair {
    std::string_view hf;
    std::string_view gguf;
};

constexpr Pair kModelNames[] = {
    {"embed_tokens.weight", "token_embd.weight"},
    {"norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
};

constexpr Pair kBlockParts[] = {
    {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};

template <std::size_t Size>
std::optional<std::string_view> translate(const Pair (&pairs)[Size], std::string_view name) {
    const auto* const found = std::ranges::find(pairs, name, &Pair::hf);
    if (found == std::end(pairs)) return std::nullopt;
    return found->gguf;
}

bool is_block_number(std::string_view text) {
    const bool has_leading_zero = text.size() > 1 && text.front() == '0';
    return !text.empty() && text.size() <= 4 && !has_leading_zero &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "3.self_attn.q_proj.weight" is "blk.3.attn_q.weight"; nothing for other names.
std::optional<std::string> block_name(std::string_view name) {
    const auto number_end = name.find('.');
    const auto part_end = name.rfind('.');
    if (number_end == std::string_view::npos || part_end <= number_end) return std::nullopt;
    const std::string_view number = name.substr(0, number_end);
    const std::string_view suffix = name.substr(part_end);
    if (!is_block_number(number) || (suffix != ".weight" && suffix != ".bias")) return std::nullopt;
    const auto part =
        translate(kBlockParts, name.substr(number_end + 1, part_end - number_end - 1));
    if (!part) return std::nullopt;
    std::string result = "blk.";
    result.append(number).append(".").append(*part).append(suffix);
    return result;
}

}  // namespace

std::optional<std::string> gguf_tensor_name(std::string_view name) {
    constexpr std::string_view kModel = "model.";
    constexpr std::string_view kLayers = "layers.";
    if (name.ends_with("rotary_emb.inv_freq")) return std::nullopt;
    std::string_view inner = name;
    if (inner.starts_with(kModel)) inner.remove_prefix(kModel.size());
    if (const auto global = translate(kModelNames, inner)) return std::string(*global);
    if (inner.starts_with(kLayers)) {
        if (auto block = block_name(inner.substr(kLayers.size()))) return block;
    }
    return std::string(name);
}

}  // namespace kwaai::inference
