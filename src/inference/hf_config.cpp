#include "inference/hf_config.hpp"

#include <algorithm>
#include <array>

#include "inference/model_readers.hpp"
#include "json/document.hpp"

namespace kwaai::inference {
namespace {

constexpr std::size_t kConfigBytesMax = std::size_t{4} << 20;

struct Architecture {
    std::string_view name;        // in "architectures"
    std::string_view model_type;  // where that is missing
    std::string_view gguf;
};

constexpr Architecture kArchitectures[] = {
    {"LlamaForCausalLM", "llama", "llama"},
    {"MistralForCausalLM", "mistral", "llama"},
    {"Qwen2ForCausalLM", "qwen2", "qwen2"},
    {"Qwen3ForCausalLM", "qwen3", "qwen3"},
};

Result<const Architecture*> find_architecture(const json::Value& config) {
    std::string_view name;
    auto by = &Architecture::name;
    if (const auto list = config.given("architectures")) {
        KWAAI_TRY(const json::Array names, list->array());
        if (names.size() != 1) return list->error("expected one architecture");
        KWAAI_TRY(name, (*names.begin()).string());
    } else {
        by = &Architecture::model_type;
        KWAAI_TRY(const json::Value type, config.at("model_type"));
        KWAAI_TRY(name, type.string());
    }
    const auto* const found = std::ranges::find(kArchitectures, name, by);
    if (found == std::end(kArchitectures)) {
        return fail(Errc::unsupported,
                    "models of the architecture " + shown(name) +
                        " are not run; this build runs LlamaForCausalLM, MistralForCausalLM, "
                        "Qwen2ForCausalLM and Qwen3ForCausalLM");
    }
    return found;
}

/// Reads members of config.json and writes metadata under one architecture's prefix.
class Translator {
public:
    Translator(const json::Value& config, const Architecture& architecture, Metadata& metadata)
        : config_(config), architecture_(architecture), metadata_(metadata) {}

    Result<void> translate();

private:
    void set(std::string_view key, MetadataValue value) {
        std::string full(architecture_.gguf);
        full.append(".").append(key);
        metadata_.values.insert_or_assign(std::move(full), std::move(value));
    }

    Result<void> copy_integer(const json::Value& from,
                              std::string_view member,
                              std::string_view key);
    Result<void> copy_number(const json::Value& from,
                             std::string_view member,
                             std::string_view key);
    Result<bool> flag(std::string_view member) const;
    Result<void> refuse_unknown_features() const;
    Result<void> translate_sizes();
    Result<void> translate_window();
    Result<void> translate_rope();
    Result<void> translate_rotary_part(const json::Value& from);
    Result<void> translate_scaling(const json::Value& scaling);
    Result<void> translate_llama3(const json::Value& scaling);
    Result<void> translate_yarn(const json::Value& scaling);

    json::Value config_;
    const Architecture& architecture_;
    Metadata& metadata_;
};

// Optional members: a missing one stays missing.
Result<void> Translator::copy_integer(const json::Value& from,
                                      std::string_view member,
                                      std::string_view key) {
    const auto value = from.given(member);
    if (!value) return {};
    KWAAI_TRY(const std::uint64_t number, value->unsigned_integer());
    set(key, number);
    return {};
}

Result<void> Translator::copy_number(const json::Value& from,
                                     std::string_view member,
                                     std::string_view key) {
    const auto value = from.given(member);
    if (!value) return {};
    KWAAI_TRY(const double number, value->number());
    set(key, number);
    return {};
}

Result<bool> Translator::flag(std::string_view member) const {
    const auto value = config_.given(member);
    if (!value) return false;
    return value->boolean();
}

Result<void> Translator::refuse_unknown_features() const {
    if (const auto quantisation = config_.given("quantization_config")) {
        return fail(Errc::unsupported,
                    "config.json: weights quantised by a Python library (quantization_config); "
                    "use the original model or a GGUF file of it");
    }
    if (const auto activation = config_.given("hidden_act")) {
        KWAAI_TRY(const std::string_view name, activation->string());
        if (name != "silu" && name != "swish") {
            return fail(Errc::unsupported, "hidden_act " + shown(name) + "; only silu is run");
        }
    }
    return {};
}

Result<void> Translator::translate_sizes() {
    struct Required {
        std::string_view member;
        std::string_view key;
    };

    constexpr std::array<Required, 6> kRequired = {{{"num_hidden_layers", "block_count"},
                                                    {"hidden_size", "embedding_length"},
                                                    {"intermediate_size", "feed_forward_length"},
                                                    {"num_attention_heads", "attention.head_count"},
                                                    {"max_position_embeddings", "context_length"},
                                                    {"vocab_size", "vocab_size"}}};
    for (const auto& [member, key] : kRequired) {
        KWAAI_CHECKED(config_.at(member));
        KWAAI_CHECKED(copy_integer(config_, member, key));
    }
    KWAAI_CHECKED(copy_integer(config_, "num_key_value_heads", "attention.head_count_kv"));
    KWAAI_CHECKED(copy_integer(config_, "head_dim", "attention.key_length"));
    KWAAI_CHECKED(copy_integer(config_, "head_dim", "attention.value_length"));
    set("attention.layer_norm_rms_epsilon", 1e-6);  // the default of all four architectures
    return copy_number(config_, "rms_norm_eps", "attention.layer_norm_rms_epsilon");
}

// A sliding window counts for Mistral always, for Qwen where use_sliding_window says so.
Result<void> Translator::translate_window() {
    KWAAI_TRY(const bool is_on, flag("use_sliding_window"));
    if (!is_on && architecture_.model_type != "mistral") return {};
    return copy_integer(config_, "sliding_window", "attention.sliding_window");
}

Result<void> Translator::translate_rotary_part(const json::Value& from) {
    const auto part = from.given("partial_rotary_factor");
    if (!part) return {};
    KWAAI_TRY(const double fraction, part->number());
    if (!(fraction > 0 && fraction <= 1)) return part->error("expected a number above 0, up to 1");
    if (fraction == 1) return {};
    return fail(Errc::unsupported, "partial_rotary_factor below 1 is not supported");
}

// Newer files keep everything in rope_parameters, older ones rope_theta and rope_scaling apart.
Result<void> Translator::translate_rope() {
    KWAAI_CHECKED(copy_number(config_, "rope_theta", "rope.freq_base"));
    KWAAI_CHECKED(translate_rotary_part(config_));
    set("rope.scaling.type", std::string("none"));
    if (const auto scaling = config_.given("rope_scaling")) {
        KWAAI_CHECKED(translate_scaling(*scaling));
    }
    const auto parameters = config_.given("rope_parameters");
    if (!parameters) return {};
    KWAAI_CHECKED(copy_number(*parameters, "rope_theta", "rope.freq_base"));
    KWAAI_CHECKED(translate_rotary_part(*parameters));
    return translate_scaling(*parameters);
}

Result<void> Translator::translate_scaling(const json::Value& scaling) {
    KWAAI_CHECKED(scaling.object());
    std::optional<json::Value> type = scaling.given("rope_type");
    const auto old_type = scaling.given("type");
    if (!type) type = old_type;
    if (!type) return scaling.error("expected a \"rope_type\" (or \"type\")");
    KWAAI_TRY(const std::string_view kind, type->string());
    if (old_type) {
        KWAAI_TRY(const std::string_view old_kind, old_type->string());
        if (old_kind != kind) {
            return fail(Errc::unsupported,
                        scaling.path() + ": type " + shown(old_kind) + " contradicts rope_type " +
                            shown(kind));
        }
    }
    if (kind == "default") return {};
    if (kind != "linear" && kind != "llama3" && kind != "yarn") {
        return fail(Errc::unsupported,
                    scaling.path() + ": rope scaling " + shown(kind) +
                        " is not supported; this build knows default, linear, llama3 and yarn");
    }
    set("rope.scaling.type", std::string(kind));
    KWAAI_CHECKED(scaling.at("factor"));
    KWAAI_CHECKED(copy_number(scaling, "factor", "rope.scaling.factor"));
    if (kind == "llama3") return translate_llama3(scaling);
    if (kind == "yarn") return translate_yarn(scaling);
    return {};
}

Result<void> Translator::translate_llama3(const json::Value& scaling) {
    for (const std::string_view member :
         {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
        KWAAI_CHECKED(scaling.at(member));
    }
    KWAAI_CHECKED(copy_number(scaling, "low_freq_factor", "rope.scaling.low_freq_factor"));
    KWAAI_CHECKED(copy_number(scaling, "high_freq_factor", "rope.scaling.high_freq_factor"));
    return copy_integer(
        scaling, "original_max_position_embeddings", "rope.scaling.original_context_length");
}

Result<void> Translator::translate_yarn(const json::Value& scaling) {
    for (const std::string_view member : {"mscale", "mscale_all_dim"}) {
        if (scaling.given(member)) {
            return fail(
                Errc::unsupported,
                scaling.path() + ": YaRN with " + std::string(member) + " is not supported");
        }
    }
    if (const auto truncate = scaling.given("truncate")) {
        KWAAI_TRY(const bool is_truncated, truncate->boolean());
        if (!is_truncated) {
            return fail(Errc::unsupported,
                        scaling.path() + ": YaRN without truncate is not supported");
        }
    }
    KWAAI_CHECKED(
        copy_integer(config_, "max_position_embeddings", "rope.scaling.original_context_length"));
    KWAAI_CHECKED(copy_integer(
        scaling, "original_max_position_embeddings", "rope.scaling.original_context_length"));
    KWAAI_CHECKED(copy_number(scaling, "beta_fast", "rope.scaling.yarn_beta_fast"));
    KWAAI_CHECKED(copy_number(scaling, "beta_slow", "rope.scaling.yarn_beta_slow"));
    return copy_number(scaling, "attention_factor", "rope.scaling.attention_factor");
}

Result<void> Translator::translate() {
    metadata_.values.insert_or_assign("general.architecture", std::string(architecture_.gguf));
    KWAAI_TRY(const bool is_tied, flag("tie_word_embeddings"));
    metadata_.values.insert_or_assign("hf.tie_word_embeddings", is_tied);
    KWAAI_CHECKED(refuse_unknown_features());
    KWAAI_CHECKED(translate_sizes());
    KWAAI_CHECKED(translate_window());
    return translate_rope();
}

}  // namespace

Result<void> read_hf_config(std::string_view text, Metadata& metadata) {
    KWAAI_TRY(const json::Document document,
              json::parse(text, {.text_bytes_max = kConfigBytesMax}));
    KWAAI_TRY(const Architecture* architecture, find_architecture(document.root()));
    return Translator(document.root(), *architecture, metadata).translate();
}

}  // namespace kwaai::inference
