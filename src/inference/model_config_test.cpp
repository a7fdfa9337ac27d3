#include "inference/model_config.hpp"

#include <functional>
#include <map>

#include <doctest/doctest.h>

#include "testing/fixtures.hpp"
#include "testing/gguf_builder.hpp"

namespace kwaai::inference {
namespace {

using testing::GgufBuilder;
using Extents = std::vector<std::uint64_t>;

/// A tiny llama whose metadata and tensors a test may change before it becomes a file: hidden 8,
/// 4 heads of 2, 2 key and value heads, ffn 12, vocabulary 5, 2 blocks.
struct TinyModel {
    std::string architecture = "llama";
    std::map<std::string, std::uint32_t> sizes = {
        {"block_count", 2},
        {"embedding_length", 8},
        {"feed_forward_length", 12},
        {"attention.head_count", 4},
        {"context_length", 256},
        {"attention.head_count_kv", 2},
    };
    std::map<std::string, float> numbers = {{"attention.layer_norm_rms_epsilon", 1e-5F}};
    std::map<std::string, std::string> texts;
    std::map<std::string, Extents> tensors = {{"token_embd.weight", {8, 5}},
                                              {"output_norm.weight", {8}}};
    std::vector<std::string> tokens;
    std::vector<std::pair<std::string, std::string>> arrays;  // raw bytes of array values
    std::vector<float> factors;                               // rope_freqs.weight

    TinyModel() {
        for (std::uint32_t block = 0; block < 2; ++block) {
            tensors[block_tensor(block, "attn_norm")] = {8};
            tensors[block_tensor(block, "attn_q")] = {8, 8};
            tensors[block_tensor(block, "attn_k")] = {8, 4};
            tensors[block_tensor(block, "attn_v")] = {8, 4};
            tensors[block_tensor(block, "attn_output")] = {8, 8};
            tensors[block_tensor(block, "ffn_norm")] = {8};
            tensors[block_tensor(block, "ffn_gate")] = {8, 12};
            tensors[block_tensor(block, "ffn_up")] = {8, 12};
            tensors[block_tensor(block, "ffn_down")] = {12, 8};
        }
    }

    void add_to_blocks(std::string_view part, std::string_view suffix, const Extents& ne) {
        for (std::uint32_t block = 0; block < 2; ++block) {
            tensors[block_tensor(block, part, suffix)] = ne;
        }
    }

    [[nodiscard]] std::string build() const {
        GgufBuilder builder;
        const std::string prefix = architecture + ".";
        if (!architecture.empty()) builder.text("general.architecture", architecture);
        for (const auto& [key, value] : sizes) {
            builder.u32(prefix + key, value);
        }
        for (const auto& [key, value] : numbers) {
            builder.f32(prefix + key, value);
        }
        for (const auto& [key, value] : texts) {
            builder.text(prefix + key, value);
        }
        for (const auto& [key, value] : arrays) {
            builder.pair(prefix + key, 9, value);
        }
        if (!tokens.empty()) builder.texts("tokenizer.ggml.tokens", tokens);
        for (const auto& [name, ne] : tensors) {
            builder.zeros(name, ne);
        }
        if (!factors.empty()) {
            std::string data;
            for (const float factor : factors) {
                data += testing::number_bytes(factor);
            }
            builder.tensor("rope_freqs.weight", {factors.size()}, 0, data);
        }
        return builder.build();
    }
};

Result<ModelConfig> config_of(const TinyModel& tiny) {
    const std::string bytes = tiny.build();
    auto file = read_gguf(std::make_unique<MemorySource>("tiny.gguf", as_bytes(bytes)));
    REQUIRE_MESSAGE(file.has_value(), file.error().context);
    return read_config(*file);
}

ModelConfig accepted(const TinyModel& tiny) {
    auto config = config_of(tiny);
    REQUIRE_MESSAGE(config.has_value(), config.error().context);
    return *config;
}

// Whether the tiny model is refused after `change`, with this code and these words.
void check_refused(const std::function<void(TinyModel&)>& change,
                   Errc code,
                   std::string_view words) {
    TinyModel tiny;
    change(tiny);
    const auto config = config_of(tiny);
    REQUIRE_FALSE(config.has_value());
    CHECK(to_string(config.error().code) == to_string(code));
    CHECK_MESSAGE(config.error().context.find(words) != std::string::npos, config.error().context);
}

std::string array_bytes(const std::vector<std::uint32_t>& values) {
    std::string bytes =
        testing::number_bytes(4U) + testing::number_bytes<std::uint64_t>(values.size());
    for (const std::uint32_t value : values) {
        bytes += testing::number_bytes(value);
    }
    return bytes;
}

Result<ModelFile> open_fixture(const std::vector<std::byte>& bytes) {
    return read_gguf(std::make_unique<MemorySource>("fixture.gguf", bytes));
}

}  // namespace

TEST_CASE("a llama file gives its shape, defaults where keys are missing") {
    const ModelConfig config = accepted(TinyModel());
    CHECK(config.architecture == "llama");
    CHECK(config.name == "tiny.gguf");
    CHECK(config.block_count == 2);
    CHECK(config.hidden == 8);
    CHECK(config.head_count == 4);
    CHECK(config.kv_head_count == 2);
    CHECK(config.head_dim == 2);
    CHECK(config.ffn == 12);
    CHECK(config.vocabulary == 5);
    CHECK(config.context == 256);
    CHECK(config.rms_epsilon == 1e-5F);
    CHECK(config.is_head_tied);
    CHECK_FALSE(config.has_qk_norm);
    CHECK_FALSE(config.is_hf_row_order);
    CHECK(config.rope.layout == kernels::RopeLayout::norm);
    CHECK(config.rope.base == 10000);
    CHECK(config.rope.dimensions == 2);
    CHECK(config.rope.scaling == RopeScaling::none);
    CHECK(config.rope.factors.empty());
}

TEST_CASE("a head of its own, biases and explicit head lengths are read") {
    TinyModel tiny;
    tiny.tensors["output.weight"] = {8, 5};
    tiny.sizes["attention.key_length"] = 4;
    tiny.sizes["attention.value_length"] = 4;
    tiny.sizes["rope.dimension_count"] = 2;
    tiny.add_to_blocks("attn_q", "weight", {8, 16});
    tiny.add_to_blocks("attn_k", "weight", {8, 8});
    tiny.add_to_blocks("attn_v", "weight", {8, 8});
    tiny.add_to_blocks("attn_output", "weight", {16, 8});
    tiny.add_to_blocks("attn_q", "bias", {16});
    tiny.add_to_blocks("attn_output", "bias", {8});
    tiny.add_to_blocks("attn_rot_embd", "weight", {2});
    const ModelConfig config = accepted(tiny);
    CHECK_FALSE(config.is_head_tied);
    CHECK(config.head_dim == 4);
    CHECK(config.rope.dimensions == 2);
}

TEST_CASE("qwen2 needs biases and qwen3 norms of queries and keys") {
    const auto qwen2 = [](TinyModel& tiny) {
        tiny.architecture = "qwen2";
        tiny.add_to_blocks("attn_q", "bias", {8});
        tiny.add_to_blocks("attn_k", "bias", {4});
        tiny.add_to_blocks("attn_v", "bias", {4});
    };
    TinyModel tiny;
    qwen2(tiny);
    CHECK(accepted(tiny).rope.layout == kernels::RopeLayout::neox);
    check_refused(
        [&](TinyModel& broken) {
            qwen2(broken);
            broken.tensors.erase("blk.1.attn_v.bias");
        },
        Errc::malformed,
        "tensor blk.1.attn_v.bias [4] is missing");

    const auto qwen3 = [](TinyModel& other) {
        other.architecture = "qwen3";
        other.add_to_blocks("attn_q_norm", "weight", {2});
        other.add_to_blocks("attn_k_norm", "weight", {2});
    };
    TinyModel third;
    qwen3(third);
    CHECK(accepted(third).has_qk_norm);
    CHECK(accepted(third).rope.layout == kernels::RopeLayout::neox);
    check_refused(
        [&](TinyModel& broken) {
            qwen3(broken);
            broken.tensors.erase("blk.0.attn_k_norm.weight");
        },
        Errc::malformed,
        "tensor blk.0.attn_k_norm.weight [2] is missing");
}

TEST_CASE("other architectures are named together with what runs") {
    check_refused([](TinyModel& tiny) { tiny.architecture = "gemma2"; },
                  Errc::unsupported,
                  "\"gemma2\" are not run; this build runs llama");
    check_refused([](TinyModel& tiny) { tiny.architecture = ""; },
                  Errc::malformed,
                  "general.architecture is missing");
}

TEST_CASE("features that change the arithmetic are refused") {
    check_refused([](TinyModel& tiny) { tiny.sizes["expert_count"] = 8; },
                  Errc::unsupported,
                  "a mixture of 8 experts");
    check_refused([](TinyModel& tiny) { tiny.numbers["attn_logit_softcapping"] = 50; },
                  Errc::unsupported,
                  "llama.attn_logit_softcapping is not supported");
    check_refused([](TinyModel& tiny) { tiny.sizes["attention.value_length"] = 4; },
                  Errc::unsupported,
                  "keys of 2 and values of 4 per head");
    check_refused([](TinyModel& tiny) { tiny.tensors["blk.1.attn_sinks.weight"] = {4}; },
                  Errc::unsupported,
                  "tensor \"blk.1.attn_sinks.weight\" and 0 more");
    check_refused([](TinyModel& tiny) { tiny.tensors["blk.2.attn_norm.weight"] = {8}; },
                  Errc::unsupported,
                  "blk.2.attn_norm.weight");
    TinyModel harmless;
    harmless.sizes["expert_count"] = 0;
    harmless.numbers["logit_scale"] = 1;
    accepted(harmless);
}

TEST_CASE("missing keys and sizes out of range are refused by name") {
    for (const char* key : {"block_count",
                            "embedding_length",
                            "feed_forward_length",
                            "context_length",
                            "attention.head_count"}) {
        check_refused([&](TinyModel& tiny) { tiny.sizes.erase(key); },
                      Errc::malformed,
                      std::string("llama.") + key + " is missing");
    }
    check_refused([](TinyModel& tiny) { tiny.numbers.clear(); },
                  Errc::malformed,
                  "llama.attention.layer_norm_rms_epsilon is missing");
    const std::pair<const char*, std::uint32_t> bad[] = {
        {"block_count", 0},
        {"block_count", 1025},
        {"embedding_length", 0},
        {"embedding_length", 65537},
        {"feed_forward_length", 0},
        {"feed_forward_length", (1 << 20) + 1},
        {"context_length", 0},
        {"attention.head_count", 0},
        {"attention.head_count", 1025},
        {"attention.head_count_kv", 0},
        {"rope.dimension_count", 0},
        {"rope.dimension_count", 4},
        {"attention.key_length", 514},
    };
    for (const auto& [key, value] : bad) {
        check_refused([&](TinyModel& tiny) { tiny.sizes[key] = value; },
                      Errc::malformed,
                      std::string("llama.") + key + " is " + std::to_string(value));
    }
    for (const float epsilon : {0.0F, 1.0F, -1.0F, __builtin_nanf("")}) {
        check_refused(
            [&](TinyModel& tiny) { tiny.numbers["attention.layer_norm_rms_epsilon"] = epsilon; },
            Errc::malformed,
            "is not between 0 and 1");
    }
    for (const float base : {0.0F, 1.0F, -5.0F, __builtin_nanf(""), __builtin_inff()}) {
        check_refused([&](TinyModel& tiny) { tiny.numbers["rope.freq_base"] = base; },
                      Errc::malformed,
                      "llama.rope.freq_base is");
    }
}

TEST_CASE("heads must divide") {
    check_refused([](TinyModel& tiny) { tiny.sizes["attention.head_count_kv"] = 3; },
                  Errc::malformed,
                  "4 heads cannot share 3 key and value heads");
    check_refused([](TinyModel& tiny) { tiny.sizes["attention.head_count"] = 3; },
                  Errc::malformed,
                  "3 heads cannot share 2");
    check_refused(
        [](TinyModel& tiny) {
            tiny.sizes["attention.head_count"] = 3;
            tiny.sizes["attention.head_count_kv"] = 1;
        },
        Errc::malformed,
        "embedding_length 8 is no multiple of head_count 3");
    check_refused([](TinyModel& tiny) { tiny.sizes["attention.key_length"] = 3; },
                  Errc::malformed,
                  "heads of 3 values");
    check_refused([](TinyModel& tiny) { tiny.sizes["attention.head_count"] = 8; },
                  Errc::malformed,
                  "heads of 1 values");
}

TEST_CASE("sizes given for every block count when they agree") {
    TinyModel tiny;
    tiny.sizes.erase("feed_forward_length");
    tiny.arrays = {{"feed_forward_length", array_bytes({12, 12})}};
    CHECK(accepted(tiny).ffn == 12);
    check_refused(
        [](TinyModel& broken) {
            broken.sizes.erase("feed_forward_length");
            broken.arrays = {{"feed_forward_length", array_bytes({12, 24})}};
        },
        Errc::unsupported,
        "llama.feed_forward_length differs from block to block");
}

TEST_CASE("a sliding window bounds the context, which keeps attention exact") {
    TinyModel tiny;
    tiny.sizes["attention.sliding_window"] = 100;
    CHECK(accepted(tiny).context == 100);
    tiny.sizes["attention.sliding_window"] = 100000;
    CHECK(accepted(tiny).context == 256);
}

TEST_CASE("every tensor must be there with the shape the sizes imply") {
    const TinyModel whole;
    for (const auto& [name, ne] : whole.tensors) {
        check_refused([&](TinyModel& tiny) { tiny.tensors.erase(name); },
                      Errc::malformed,
                      name == "token_embd.weight" ? "tensor token_embd.weight is missing"
                                                  : "tensor " + name + " [");
        if (name == "token_embd.weight") continue;  // its rows are the vocabulary
        check_refused([&](TinyModel& tiny) { tiny.tensors[name].back() += 1; },
                      Errc::malformed,
                      "tensor " + name + " has the shape [");
    }
    check_refused([](TinyModel& tiny) { tiny.tensors["token_embd.weight"] = {9, 5}; },
                  Errc::malformed,
                  "token_embd.weight has the shape [5, 9]; the configuration implies [5, 8]");
    check_refused([](TinyModel& tiny) { tiny.tensors["token_embd.weight"] = {40}; },
                  Errc::malformed,
                  "token_embd.weight has the shape [40]");
    check_refused([](TinyModel& tiny) { tiny.tensors["output.weight"] = {8, 6}; },
                  Errc::malformed,
                  "tensor output.weight has the shape [6, 8]");
    check_refused([](TinyModel& tiny) { tiny.tensors["blk.0.attn_q.bias"] = {4}; },
                  Errc::malformed,
                  "tensor blk.0.attn_q.bias has the shape [4]");
}

TEST_CASE("the token list and the embedding agree") {
    TinyModel tiny;
    tiny.tokens = {"a", "b", "c", "d", "e"};
    tiny.sizes["vocab_size"] = 7;  // the list counts more
    CHECK(accepted(tiny).vocabulary == 5);
    check_refused([](TinyModel& broken) { broken.tokens = {"a", "b"}; },
                  Errc::malformed,
                  "the vocabulary has 2 tokens, token_embd 5 rows");
    check_refused([](TinyModel& broken) { broken.sizes["vocab_size"] = 6; },
                  Errc::malformed,
                  "the vocabulary has 6 tokens, token_embd 5 rows");
}

TEST_CASE("rope scaling is read from new and old keys") {
    TinyModel linear;
    linear.texts["rope.scaling.type"] = "linear";
    linear.numbers["rope.scaling.factor"] = 4;
    CHECK(accepted(linear).rope.scaling == RopeScaling::linear);
    CHECK(accepted(linear).rope.factor == 4);
    TinyModel old;
    old.numbers["rope.scale_linear"] = 2;
    CHECK(accepted(old).rope.scaling == RopeScaling::linear);
    CHECK(accepted(old).rope.factor == 2);
    TinyModel none = linear;
    none.texts["rope.scaling.type"] = "none";
    CHECK(accepted(none).rope.scaling == RopeScaling::none);
    CHECK(accepted(none).rope.factor == 1);

    TinyModel yarn = linear;
    yarn.texts["rope.scaling.type"] = "yarn";
    yarn.sizes["rope.scaling.original_context_length"] = 64;
    const RopeConfig rope = accepted(yarn).rope;
    CHECK(rope.scaling == RopeScaling::yarn);
    CHECK(rope.original_context == 64);
    CHECK(rope.attention_factor == 0);
    CHECK(rope.beta_fast == 32);
    CHECK(rope.beta_slow == 1);
    yarn.numbers["rope.scaling.attn_factor"] = 2;
    CHECK(accepted(yarn).rope.attention_factor == doctest::Approx(2 * (1 + 0.1 * 1.3862943611)));
}

TEST_CASE("rope scaling out of range or unknown is refused") {
    const auto scaled = [](const char* type, float factor) {
        return [=](TinyModel& tiny) {
            tiny.texts["rope.scaling.type"] = type;
            tiny.numbers["rope.scaling.factor"] = factor;
        };
    };
    check_refused(scaled("longrope", 4), Errc::unsupported, "rope scaling \"longrope\"");
    check_refused(scaled("linear", 0.5F), Errc::malformed, "llama.rope.scaling.factor is 0.5");
    check_refused(
        scaled("linear", __builtin_nanf("")), Errc::malformed, "llama.rope.scaling.factor is");
    check_refused(scaled("yarn", 4), Errc::malformed, "original_context_length is missing");
    check_refused([](TinyModel& tiny) { tiny.factors = {0.0F}; },
                  Errc::malformed,
                  "tensor rope_freqs.weight holds 0.0");
    check_refused([](TinyModel& tiny) { tiny.factors = {1, 1}; },
                  Errc::malformed,
                  "tensor rope_freqs.weight has the shape [2]");
    TinyModel tiny;
    tiny.factors = {8};
    CHECK(accepted(tiny).rope.factors == std::vector<float>{8});
}

TEST_CASE("a vocabulary without tensors is refused in a sentence") {
    check_refused([](TinyModel& tiny) { tiny.tensors.clear(); },
                  Errc::unsupported,
                  "the file holds a vocabulary and no tensors");
}

TEST_CASE("stories260K has the shape that its makers give") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    const auto bytes = testing::read_file(path);
    const auto file = open_fixture(bytes);
    REQUIRE_MESSAGE(file.has_value(), file.error().context);
    const auto config = read_config(*file);
    REQUIRE_MESSAGE(config.has_value(), config.error().context);
    CHECK(file->tensors.size() == 48);
    CHECK(config->hidden == 64);
    CHECK(config->block_count == 5);
    CHECK(config->head_count == 8);
    CHECK(config->kv_head_count == 4);
    CHECK(config->head_dim == 8);
    CHECK(config->ffn == 172);
    CHECK(config->vocabulary == 512);
    CHECK_FALSE(config->is_head_tied);
}

TEST_CASE("the tiny reference models are read, in every type this build knows") {
    for (const char* name : {"tiny-llama",
                             "tiny-llama3",
                             "tiny-qwen2",
                             "tiny-llama256-Q4_0",
                             "tiny-llama256-Q4_K_M",
                             "tiny-llama256-Q5_1",
                             "tiny-llama256-Q5_K_M",
                             "tiny-llama256-Q6_K",
                             "tiny-llama256-Q8_0"}) {
        KWAAI_FIXTURE(path, std::string("inference/models/") + name + ".gguf");
        const auto bytes = testing::read_file(path);
        const auto file = open_fixture(bytes);
        REQUIRE_MESSAGE(file.has_value(), file.error().context);
        const auto config = read_config(*file);
        REQUIRE_MESSAGE(config.has_value(), config.error().context);
        CHECK(config->block_count == 2);
        CHECK(config->vocabulary == 128);
        CHECK(config->rope.factors.size() ==
              (file->find("rope_freqs.weight") == nullptr ? 0 : config->rope.dimensions / 2));
    }
}

TEST_CASE("reference models of other kinds are refused by what they are") {
    const std::pair<const char*, const char*> refusals[] = {
        {"tiny-gemma2", "\"gemma2\""}, {"tiny-phi3", "\"phi3\""}, {"tiny-moe", "experts"}};
    for (const auto& [name, words] : refusals) {
        KWAAI_FIXTURE(path, std::string("inference/models/") + name + ".gguf");
        const auto bytes = testing::read_file(path);
        const auto file = open_fixture(bytes);
        REQUIRE_MESSAGE(file.has_value(), file.error().context);
        const auto config = read_config(*file);
        REQUIRE_FALSE(config.has_value());
        CHECK(config.error().code == Errc::unsupported);
        CHECK_MESSAGE(config.error().context.find(words) != std::string::npos,
                      config.error().context);
    }
    for (const char* type : {"IQ4_XS", "Q2_K", "Q3_K"}) {
        const std::string suffix = std::string(type) == "Q3_K" ? "_M.gguf" : ".gguf";
        KWAAI_FIXTURE(path, std::string("inference/models/tiny-llama256-") + type + suffix);
        const auto bytes = testing::read_file(path);
        const auto file = open_fixture(bytes);
        REQUIRE_FALSE(file.has_value());
        CHECK(file.error().code == Errc::unsupported);
    }
}

}  // namespace kwaai::inference
