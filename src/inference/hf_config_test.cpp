#include "inference/hf_config.hpp"

#include <doctest/doctest.h>

namespace kwaai::inference {
namespace {

// A complete config.json of a Llama with `more` members behind the required ones.
std::string config_with(std::string_view more, std::string_view architecture = "LlamaForCausalLM") {
    return R"({"num_hidden_layers":2,"hidden_size":8,"intermediate_size":12,"num_attention_heads":4,)"
           R"("max_position_embeddings":256,"vocab_size":5,"architectures":[")" +
           std::string(architecture) + "\"]" + std::string(more) + "}";
}

Metadata translated(std::string_view text) {
    Metadata metadata;
    const auto done = read_hf_config(text, metadata);
    REQUIRE_MESSAGE(done.has_value(), done.error().context);
    return metadata;
}

void check_refused(std::string_view text, Errc code, std::string_view words) {
    Metadata metadata;
    const auto done = read_hf_config(text, metadata);
    REQUIRE_FALSE(done.has_value());
    CHECK(to_string(done.error().code) == to_string(code));
    CHECK_MESSAGE(done.error().context.find(words) != std::string::npos, done.error().context);
}

double number(const Metadata& metadata, std::string_view key) {
    const auto value = metadata.number(key);
    REQUIRE(value.has_value());
    REQUIRE_MESSAGE(value->has_value(), key);
    return **value;
}

}  // namespace

TEST_CASE("config.json becomes the metadata a GGUF file would have") {
    const Metadata metadata = translated(config_with(
        R"(,"num_key_value_heads":2,"head_dim":4,"rms_norm_eps":1e-5,"rope_theta":500000.0,)"
        R"("tie_word_embeddings":true,"hidden_act":"silu","rope_scaling":null,"attention_bias":false)"));
    CHECK(*metadata.text("general.architecture") == "llama");
    CHECK(number(metadata, "llama.block_count") == 2);
    CHECK(number(metadata, "llama.embedding_length") == 8);
    CHECK(number(metadata, "llama.feed_forward_length") == 12);
    CHECK(number(metadata, "llama.attention.head_count") == 4);
    CHECK(number(metadata, "llama.attention.head_count_kv") == 2);
    CHECK(number(metadata, "llama.attention.key_length") == 4);
    CHECK(number(metadata, "llama.attention.value_length") == 4);
    CHECK(number(metadata, "llama.context_length") == 256);
    CHECK(number(metadata, "llama.vocab_size") == 5);
    CHECK(number(metadata, "llama.attention.layer_norm_rms_epsilon") == 1e-5);
    CHECK(number(metadata, "llama.rope.freq_base") == 500000);
    CHECK(*metadata.text("llama.rope.scaling.type") == "none");
    CHECK(metadata.boolean("hf.tie_word_embeddings")->value());
}

TEST_CASE("defaults are those of the Python configuration classes") {
    const Metadata metadata = translated(config_with(""));
    CHECK(number(metadata, "llama.attention.layer_norm_rms_epsilon") == 1e-6);
    CHECK_FALSE(metadata.boolean("hf.tie_word_embeddings")->value());
    CHECK(metadata.find("llama.attention.head_count_kv") == nullptr);
    CHECK(metadata.find("llama.rope.freq_base") == nullptr);
}

TEST_CASE("architectures are known by name, or by model_type where the name is missing") {
    CHECK(*translated(config_with("", "MistralForCausalLM")).text("general.architecture") ==
          "llama");
    CHECK(*translated(config_with("", "Qwen2ForCausalLM")).text("general.architecture") == "qwen2");
    CHECK(*translated(config_with("", "Qwen3ForCausalLM")).text("general.architecture") == "qwen3");
    check_refused(config_with("", "Gemma2ForCausalLM"),
                  Errc::unsupported,
                  "\"Gemma2ForCausalLM\" are not run");
    check_refused(R"({"model_type":"gpt2"})", Errc::unsupported, "\"gpt2\" are not run");
    check_refused(R"({"model_type":"qwen2"})",
                  Errc::malformed,
                  "the member \"num_hidden_layers\" is missing");
    check_refused("{}", Errc::malformed, "the member \"model_type\" is missing");
    check_refused(
        R"({"architectures":[]})", Errc::malformed, "architectures: expected one architecture");
    check_refused("[1]", Errc::malformed, "expected an object");
}

TEST_CASE("a sliding window counts where the architecture uses it") {
    CHECK(number(translated(config_with(R"(,"sliding_window":64)", "MistralForCausalLM")),
                 "llama.attention.sliding_window") == 64);
    CHECK(translated(config_with(R"(,"sliding_window":null)", "MistralForCausalLM"))
              .find("llama.attention.sliding_window") == nullptr);
    CHECK(translated(
              config_with(R"(,"sliding_window":64,"use_sliding_window":false)", "Qwen2ForCausalLM"))
              .find("qwen2.attention.sliding_window") == nullptr);
    CHECK(number(translated(config_with(R"(,"sliding_window":64,"use_sliding_window":true)",
                                        "Qwen2ForCausalLM")),
                 "qwen2.attention.sliding_window") == 64);
}

TEST_CASE("rope scaling is read with either name of its type") {
    for (const std::string type : {R"("type":"linear")",
                                   R"("rope_type":"linear")",
                                   R"("type":"linear","rope_type":"linear")"}) {
        const Metadata metadata =
            translated(config_with(",\"rope_scaling\":{" + type + ",\"factor\":2.0}"));
        CHECK(*metadata.text("llama.rope.scaling.type") == "linear");
        CHECK(number(metadata, "llama.rope.scaling.factor") == 2);
    }
    const Metadata llama3 = translated(config_with(
        R"(,"rope_scaling":{"factor":32.0,"high_freq_factor":4.0,"low_freq_factor":1.0,)"
        R"("original_max_position_embeddings":8192,"rope_type":"llama3"})"));
    CHECK(*llama3.text("llama.rope.scaling.type") == "llama3");
    CHECK(number(llama3, "llama.rope.scaling.factor") == 32);
    CHECK(number(llama3, "llama.rope.scaling.low_freq_factor") == 1);
    CHECK(number(llama3, "llama.rope.scaling.high_freq_factor") == 4);
    CHECK(number(llama3, "llama.rope.scaling.original_context_length") == 8192);

    const Metadata yarn = translated(config_with(
        R"(,"rope_scaling":{"type":"yarn","factor":4,"beta_fast":16,"attention_factor":1.5})"));
    CHECK(*yarn.text("llama.rope.scaling.type") == "yarn");
    CHECK(number(yarn, "llama.rope.scaling.original_context_length") == 256);
    CHECK(number(yarn, "llama.rope.scaling.yarn_beta_fast") == 16);
    CHECK(number(yarn, "llama.rope.scaling.attention_factor") == 1.5);
}

TEST_CASE("newer files keep all of it in rope_parameters") {
    const Metadata plain =
        translated(config_with(R"(,"rope_parameters":{"rope_theta":1e6,"rope_type":"default"})"));
    CHECK(number(plain, "llama.rope.freq_base") == 1e6);
    CHECK(*plain.text("llama.rope.scaling.type") == "none");
    const Metadata linear = translated(
        config_with(R"(,"rope_parameters":{"rope_theta":7,"rope_type":"linear","factor":8})"));
    CHECK(number(linear, "llama.rope.freq_base") == 7);
    CHECK(number(linear, "llama.rope.scaling.factor") == 8);
}

TEST_CASE("rope scalings that are not run are refused by name") {
    const auto scaling = [](std::string_view members) {
        return config_with(",\"rope_scaling\":{" + std::string(members) + "}");
    };
    check_refused(scaling(R"("type":"dynamic","factor":2)"),
                  Errc::unsupported,
                  "rope_scaling: rope scaling \"dynamic\"");
    check_refused(scaling(R"("type":"linear","rope_type":"yarn","factor":2)"),
                  Errc::unsupported,
                  "contradicts");
    check_refused(
        scaling(R"("factor":2)"), Errc::malformed, "rope_scaling: expected a \"rope_type\"");
    check_refused(scaling(R"("type":"linear")"),
                  Errc::malformed,
                  "rope_scaling: the member \"factor\" is missing");
    check_refused(scaling(R"("type":"llama3","factor":2)"),
                  Errc::malformed,
                  "the member \"low_freq_factor\" is missing");
    check_refused(
        scaling(R"("type":"yarn","factor":2,"mscale":1)"), Errc::unsupported, "YaRN with mscale");
    check_refused(scaling(R"("type":"yarn","factor":2,"truncate":false)"),
                  Errc::unsupported,
                  "YaRN without truncate");
    check_refused(
        config_with(R"(,"rope_scaling":[])"), Errc::malformed, "rope_scaling: expected an object");
    check_refused(
        config_with(R"(,"partial_rotary_factor":0.5)"), Errc::unsupported, "partial_rotary_factor");
}

TEST_CASE("quantised weights and other activations are refused") {
    check_refused(config_with(R"(,"quantization_config":{"quant_method":"gptq"})"),
                  Errc::unsupported,
                  "quantization_config");
    check_refused(config_with(R"(,"hidden_act":"gelu")"), Errc::unsupported, "hidden_act \"gelu\"");
}

TEST_CASE("members of the wrong kind are refused with their place") {
    check_refused(config_with(R"(,"num_key_value_heads":"2")"),
                  Errc::malformed,
                  "num_key_value_heads: expected an integer, found a string");
    check_refused(config_with(R"(,"tie_word_embeddings":1)"),
                  Errc::malformed,
                  "tie_word_embeddings: expected a boolean");
    check_refused(
        config_with(R"(,"rope_theta":"x")"), Errc::malformed, "rope_theta: expected a number");
    check_refused("{", Errc::malformed, "not JSON at byte");
}

}  // namespace kwaai::inference
