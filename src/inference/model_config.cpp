// From metadata to a checked ModelConfig. Safetensors directories arrive here with the same keys:
// hf_config.cpp translates config.json.
#include "inference/model_config.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>

#include "inference/model_readers.hpp"
#include "inference/model_tensors.hpp"
#include "inference/portable_math.hpp"

namespace kwaai::inference {
namespace {

constexpr std::uint64_t kBlocksMax = 1024;
constexpr std::uint64_t kHiddenMax = 65536;
constexpr std::uint64_t kHeadsMax = 1024;
constexpr std::uint64_t kHeadDimMax = 512;
constexpr std::uint64_t kFfnMax = 1 << 20;
constexpr std::uint64_t kVocabularyMax = 1 << 22;
constexpr std::uint64_t kContextMax = 1 << 22;  // keeps rotary angles in range of sine and cosine
constexpr double kRopeBaseMax = 1e15;
constexpr double kRopeFactorMax = 65536;

constexpr std::string_view kArchitectures = "llama (also Mistral and SmolLM), qwen2 and qwen3";

/// Bounds of an integer, inclusive.
struct Range {
    std::uint64_t least;
    std::uint64_t most;
};

/// Look-ups below one architecture's prefix: "block_count" is "llama.block_count".
class Keys {
public:
    Keys(const Metadata& metadata, std::string architecture)
        : metadata_(metadata), prefix_(std::move(architecture) + ".") {}

    [[nodiscard]] std::string full(std::string_view key) const {
        return prefix_ + std::string(key);
    }

    Result<std::optional<double>> number(std::string_view key) const {
        return metadata_.number(full(key));
    }

    [[nodiscard]] const std::string* text(std::string_view key) const {
        return metadata_.text(full(key));
    }

    /// An integer in range, or an array that says the same for every block.
    Result<std::optional<std::uint32_t>> optional_size(std::string_view key, Range range) const {
        const std::string name = full(key);
        std::optional<std::uint64_t> found;
        if (const auto* each = metadata_.integers(name); each != nullptr && !each->empty()) {
            if (each->front() < 0 ||
                std::ranges::count(*each, each->front()) != std::ssize(*each)) {
                return fail(Errc::unsupported,
                            name + " differs from block to block, which this build does not run");
            }
            found = static_cast<std::uint64_t>(each->front());
        } else {
            KWAAI_TRY(found, metadata_.unsigned_integer(name));
        }
        if (!found) return std::nullopt;
        if (*found < range.least || *found > range.most) {
            return fail(Errc::malformed,
                        name + " is " + std::to_string(*found) + "; " +
                            std::to_string(range.least) + " to " + std::to_string(range.most) +
                            " is allowed");
        }
        return static_cast<std::uint32_t>(*found);
    }

    Result<std::uint32_t> size(std::string_view key, Range range) const {
        KWAAI_TRY(const auto found, optional_size(key, range));
        if (!found) return fail(Errc::malformed, full(key) + " is missing");
        return *found;
    }

private:
    const Metadata& metadata_;
    std::string prefix_;
};

Result<std::string> read_architecture(const ModelFile& file) {
    const std::string* architecture = file.metadata.text("general.architecture");
    if (architecture == nullptr) return fail(Errc::malformed, "general.architecture is missing");
    constexpr std::array kKnown = {"llama", "qwen2", "qwen3"};
    if (std::ranges::find(kKnown, *architecture) == kKnown.end()) {
        return fail(Errc::unsupported,
                    "models of the architecture " + shown(*architecture) +
                        " are not run; this build runs " + std::string(kArchitectures));
    }
    return *architecture;
}

// What would change the arithmetic of a block in ways that it does not know.
Result<void> refuse_unknown_features(const Keys& keys, const Metadata& metadata) {
    KWAAI_TRY(const auto experts, metadata.unsigned_integer(keys.full("expert_count")));
    if (experts.value_or(0) > 0) {
        return fail(Errc::unsupported,
                    "a mixture of " + std::to_string(*experts) +
                        " experts; this build runs dense models only");
    }
    constexpr std::array kScales = {"attn_logit_softcapping",
                                    "final_logit_softcapping",
                                    "attention.scale",
                                    "logit_scale",
                                    "residual_scale",
                                    "embedding_scale",
                                    "attention.clamp_kqv",
                                    "attention.max_alibi_bias"};
    for (const std::string_view key : kScales) {
        KWAAI_TRY(const auto scale, keys.number(key));
        if (scale && *scale != 0 && *scale != 1) {
            return fail(Errc::unsupported, keys.full(key) + " is not supported by this build");
        }
    }
    KWAAI_TRY(const auto is_causal, metadata.boolean(keys.full("attention.causal")));
    if (!is_causal.value_or(true)) {
        return fail(Errc::unsupported, "an embedding model (attention.causal is false)");
    }
    return {};
}

Result<void> read_sizes(const Keys& keys, ModelConfig& config) {
    KWAAI_TRY(config.block_count, keys.size("block_count", {1, kBlocksMax}));
    KWAAI_TRY(config.hidden, keys.size("embedding_length", {1, kHiddenMax}));
    KWAAI_TRY(config.ffn, keys.size("feed_forward_length", {1, kFfnMax}));
    KWAAI_TRY(config.context, keys.size("context_length", {1, UINT32_MAX}));
    config.context =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(config.context, kContextMax));
    // Attention here always sees the whole past: exact as long as the past fits in the window.
    KWAAI_TRY(const auto window, keys.optional_size("attention.sliding_window", {0, UINT32_MAX}));
    if (window.value_or(0) > 0) config.context = std::min(config.context, *window);

    KWAAI_TRY(config.head_count, keys.size("attention.head_count", {1, kHeadsMax}));
    KWAAI_TRY(const auto kv_heads, keys.optional_size("attention.head_count_kv", {1, kHeadsMax}));
    config.kv_head_count = kv_heads.value_or(config.head_count);
    if (config.head_count % config.kv_head_count != 0) {
        return fail(Errc::malformed,
                    std::to_string(config.head_count) + " heads cannot share " +
                        std::to_string(config.kv_head_count) + " key and value heads evenly");
    }

    KWAAI_TRY(const auto key_length, keys.optional_size("attention.key_length", {2, kHeadDimMax}));
    if (!key_length && config.hidden % config.head_count != 0) {
        return fail(Errc::malformed,
                    "embedding_length " + std::to_string(config.hidden) +
                        " is no multiple of head_count " + std::to_string(config.head_count));
    }
    config.head_dim = key_length.value_or(config.hidden / config.head_count);
    if (config.head_dim % 2 != 0 || config.head_dim > kHeadDimMax || config.head_dim == 0) {
        return fail(Errc::malformed,
                    "heads of " + std::to_string(config.head_dim) +
                        " values; an even number up to 512 is allowed");
    }
    KWAAI_TRY(const auto value_length,
              keys.optional_size("attention.value_length", {1, UINT32_MAX}));
    if (value_length && *value_length != config.head_dim) {
        return fail(Errc::unsupported,
                    "keys of " + std::to_string(config.head_dim) + " and values of " +
                        std::to_string(*value_length) +
                        " per head; this build runs models with equal lengths");
    }

    KWAAI_TRY(const auto epsilon, keys.number("attention.layer_norm_rms_epsilon"));
    if (!epsilon) {
        return fail(Errc::malformed, keys.full("attention.layer_norm_rms_epsilon") + " is missing");
    }
    config.rms_epsilon = static_cast<float>(*epsilon);
    if (!(config.rms_epsilon > 0 && config.rms_epsilon < 1)) {
        return fail(Errc::malformed,
                    keys.full("attention.layer_norm_rms_epsilon") + " is not between 0 and 1");
    }
    return {};
}

// A number in [least, most], or `otherwise` where the key is missing.
Result<double> bounded(
    const Keys& keys, std::string_view key, double otherwise, double least, double most) {
    KWAAI_TRY(const auto found, keys.number(key));
    const double value = found.value_or(otherwise);
    if (!(value >= least && value <= most)) {
        return fail(Errc::malformed,
                    keys.full(key) + " is " + std::to_string(value) + "; " + std::to_string(least) +
                        " to " + std::to_string(most) + " is allowed");
    }
    return value;
}

Result<void> read_yarn(const Keys& keys, RopeConfig& rope) {
    KWAAI_TRY(rope.beta_fast, bounded(keys, "rope.scaling.yarn_beta_fast", 32, 1e-3, 1e6));
    KWAAI_TRY(rope.beta_slow, bounded(keys, "rope.scaling.yarn_beta_slow", 1, 1e-3, 1e6));
    if (rope.beta_fast <= rope.beta_slow) {
        return fail(Errc::malformed, "YaRN's beta_fast is not greater than its beta_slow");
    }
    KWAAI_TRY(const auto log_multiplier, keys.number("rope.scaling.yarn_log_multiplier"));
    KWAAI_TRY(const auto extension, keys.number("rope.scaling.yarn_ext_factor"));
    if (log_multiplier.value_or(0) != 0 || extension.value_or(1) != 1) {
        return fail(Errc::unsupported,
                    "YaRN with yarn_log_multiplier or yarn_ext_factor is not supported");
    }
    // GGUF's factor multiplies the usual magnitude; config.json's replaces it.
    KWAAI_TRY(const double relative, bounded(keys, "rope.scaling.attn_factor", 1, 1e-3, 1e3));
    KWAAI_TRY(const double absolute, bounded(keys, "rope.scaling.attention_factor", 0, 0, 1e3));
    if (absolute > 0) {
        rope.attention_factor = absolute;
    } else if (relative != 1) {
        rope.attention_factor = relative * (1 + 0.1 * portable_log(rope.factor));
    }
    return {};
}

Result<void> read_rope_scaling(const Keys& keys, RopeConfig& rope) {
    const std::string* type = keys.text("rope.scaling.type");
    const std::string_view kind = type == nullptr ? std::string_view("linear") : *type;
    if (kind == "none") return {};
    KWAAI_TRY(const auto old_factor, keys.number("rope.scale_linear"));
    KWAAI_TRY(const auto new_factor, keys.number("rope.scaling.factor"));
    const double factor = new_factor.value_or(old_factor.value_or(0));
    rope.factor = factor == 0 ? 1 : factor;
    if (!(rope.factor >= 1 && rope.factor <= kRopeFactorMax)) {
        return fail(Errc::malformed,
                    keys.full("rope.scaling.factor") + " is " + std::to_string(rope.factor) +
                        "; 1 to 65536 is allowed");
    }
    if (kind == "linear") {
        if (rope.factor != 1) rope.scaling = RopeScaling::linear;
        return {};
    }
    if (kind != "llama3" && kind != "yarn") {
        return fail(Errc::unsupported,
                    "rope scaling " + shown(kind) +
                        " is not supported; this build knows none, linear, llama3 and yarn");
    }
    KWAAI_TRY(rope.original_context,
              keys.size("rope.scaling.original_context_length", {1, UINT32_MAX}));
    if (kind == "yarn") {
        rope.scaling = RopeScaling::yarn;
        return read_yarn(keys, rope);
    }
    rope.scaling = RopeScaling::llama3;
    KWAAI_TRY(rope.low_frequency_factor,
              bounded(keys, "rope.scaling.low_freq_factor", 1, 1e-3, kRopeFactorMax));
    KWAAI_TRY(rope.high_frequency_factor,
              bounded(keys, "rope.scaling.high_freq_factor", 4, 1e-3, kRopeFactorMax));
    if (rope.high_frequency_factor <= rope.low_frequency_factor) {
        return fail(Errc::malformed,
                    "llama3 rope scaling: high_freq_factor is not greater than low_freq_factor");
    }
    return {};
}

Result<void> read_rope(const Keys& keys, ModelConfig& config) {
    RopeConfig& rope = config.rope;
    rope.layout = config.architecture == "llama" && !config.is_hf_row_order
                      ? kernels::RopeLayout::norm
                      : kernels::RopeLayout::neox;
    KWAAI_TRY(const auto base, keys.number("rope.freq_base"));
    rope.base = base.value_or(10000);
    if (!(rope.base > 1 && rope.base <= kRopeBaseMax)) {
        return fail(Errc::malformed,
                    keys.full("rope.freq_base") + " is " + std::to_string(rope.base) +
                        "; it must be more than 1 and at most 1e15");
    }
    KWAAI_TRY(const auto dimensions,
              keys.optional_size("rope.dimension_count", {2, config.head_dim}));
    rope.dimensions = dimensions.value_or(config.head_dim);
    if (rope.dimensions % 2 != 0) {
        return fail(Errc::malformed,
                    keys.full("rope.dimension_count") + " is " + std::to_string(rope.dimensions) +
                        ", an odd number");
    }
    return read_rope_scaling(keys, rope);
}

// The vocabulary is the rows of token_embd; the token list, where there is one, must agree.
Result<void> read_vocabulary(const ModelFile& file, const Keys& keys, ModelConfig& config) {
    const TensorInfo* embedding = file.find("token_embd.weight");
    if (embedding == nullptr) return fail(Errc::malformed, "tensor token_embd.weight is missing");
    if (embedding->shape.size() != 2 || embedding->shape[0] > kVocabularyMax) {
        return fail(Errc::malformed,
                    "tensor token_embd.weight has the shape " + shown_shape(embedding->shape) +
                        "; [vocabulary up to " + std::to_string(kVocabularyMax) + ", " +
                        std::to_string(config.hidden) + "] is expected");
    }
    config.vocabulary = static_cast<std::uint32_t>(embedding->shape[0]);
    const auto* tokens = file.metadata.texts("tokenizer.ggml.tokens");
    KWAAI_TRY(const auto declared, keys.optional_size("vocab_size", {1, UINT32_MAX}));
    const std::uint64_t expected =
        tokens != nullptr ? tokens->size() : std::uint64_t{declared.value_or(config.vocabulary)};
    if (expected != config.vocabulary) {
        return fail(Errc::malformed,
                    "the vocabulary has " + std::to_string(expected) + " tokens, token_embd " +
                        std::to_string(config.vocabulary) + " rows");
    }
    return {};
}

}  // namespace

Result<ModelConfig> read_config(const ModelFile& file) {
    ModelConfig config;
    KWAAI_TRY(config.architecture, read_architecture(file));
    if (file.tensors.empty()) {
        return fail(
            Errc::unsupported,
            "the file holds a vocabulary and no tensors: it can tokenize text, not write it");
    }
    if (const std::string* name = file.metadata.text("general.name")) config.name = *name;
    if (config.name.empty()) config.name = file.name;
    config.is_hf_row_order =
        file.container == Container::safetensors && config.architecture == "llama";
    config.has_qk_norm = config.architecture == "qwen3";
    const Keys keys(file.metadata, config.architecture);
    KWAAI_CHECKED(refuse_unknown_features(keys, file.metadata));
    KWAAI_CHECKED(read_sizes(keys, config));
    KWAAI_CHECKED(read_rope(keys, config));
    KWAAI_CHECKED(read_vocabulary(file, keys, config));
    KWAAI_CHECKED(check_tensors(file, config));
    return config;
}

std::string block_tensor(std::uint32_t block, std::string_view part, std::string_view suffix) {
    std::string name = "blk." + std::to_string(block) + ".";
    name += part;
    name += '.';
    name += suffix;
    return name;
}

}  // namespace kwaai::inference
