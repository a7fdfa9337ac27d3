// The shape of a model of the llama family, read from GGUF metadata or config.json and checked
// against its tensors.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "inference/model_file.hpp"
#include "kernels/isa.hpp"

namespace kwaai::inference {

enum class RopeScaling : std::uint8_t { none, linear, llama3, yarn };

/// Rotary embedding: angle(position, i) = position * base^(-2i / dimensions), scaled as `scaling`
/// says.
struct RopeConfig {
    kernels::RopeLayout layout = kernels::RopeLayout::norm;
    double base = 10000;
    std::uint32_t dimensions = 0;  // of a head that rotate; even
    RopeScaling scaling = RopeScaling::none;
    double factor = 1;                     // linear, llama3, yarn
    double low_frequency_factor = 1;       // llama3
    double high_frequency_factor = 4;      // llama3
    std::uint32_t original_context = 0;    // llama3, yarn
    double attention_factor = 0;           // yarn: 0 = 1 + 0.1 ln factor
    double beta_fast = 32, beta_slow = 1;  // yarn
    std::vector<float> factors;  // GGUF rope_freqs.weight: divides the angle of pair i; else empty
};

/// Everything a block needs to know about the model; immutable. Limits are checked on reading:
/// heads divide, even rotary dimensions, head_dim <= 512, hidden <= 65536, blocks <= 1024, ffn <=
/// 2^20, vocabulary <= 2^22.
struct ModelConfig {
    std::string architecture;  // "llama", "qwen2", ...
    std::string name;          // general.name, for people
    std::uint32_t block_count = 0;
    std::uint32_t hidden = 0;
    std::uint32_t head_count = 0;
    std::uint32_t kv_head_count = 0;
    std::uint32_t head_dim = 0;
    std::uint32_t ffn = 0;
    std::uint32_t vocabulary = 0;
    std::uint32_t context = 0;  // positions the model was trained for
    float rms_epsilon = 1e-5F;
    RopeConfig rope;
    bool is_head_tied = false;  // the head is the embedding matrix
    bool has_qk_norm = false;   // RMS norm over each head of q and k before rope (qwen3)
    bool is_hf_row_order =
        false;  // q and k rows in Hugging Face order: NEOX layout instead of GGUF's permuted NORM
};

/// Reads and validates the configuration, then checks that every tensor the blocks need exists with
/// the shape that the configuration implies. `Errc::unsupported` names an architecture or feature
/// this build does not run; `malformed` names the key or tensor and both shapes.
Result<ModelConfig> read_config(const ModelFile& file);

/// The names of one block's tensors, GGUF style: block_tensor(3, "attn_q") = "blk.3.attn_q.weight".
[[nodiscard]] std::string block_tensor(std::uint32_t block,
                                       std::string_view part,
                                       std::string_view suffix = "weight");

}  // namespace kwaai::inference
