// Logits, tokens and perplexity against llama.cpp, a float64 reference and recorded greedy texts
// (see the fixtures' INDEX.md and smollm2/README.md for where each comes from).
#include <array>
#include <cmath>

#include "engine/compute_pool.hpp"
#include "golden/double_forward.hpp"
#include "golden/loaded_model.hpp"
#include "json/document.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::golden {
namespace {

using inference::TokenId;

std::vector<float> read_floats(const std::string& path) {
    const auto bytes = testing::read_file(path);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
}

std::vector<json::Value> items(const json::Value& array) {
    std::vector<json::Value> result;
    for (const json::Value element : must(array.array()))
        result.push_back(element);
    return result;
}

std::vector<TokenId> ids(const json::Value& array) {
    std::vector<TokenId> result;
    for (const json::Value element : must(array.array()))
        result.push_back(static_cast<TokenId>(must(element.integer())));
    return result;
}

json::Document read_json(const std::string& path) {
    return must(json::parse(testing::read_text(path)));
}

TokenId argmax(std::span<const float> logits) {
    return static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
}

using Doubles = std::vector<double>;

struct Difference {
    double nmse = 0;
    double largest = 0;
};

Difference difference(const Doubles& expected, const Doubles& got) {
    REQUIRE(expected.size() == got.size());
    Difference result;
    double error = 0;
    double power = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        error += (expected[i] - got[i]) * (expected[i] - got[i]);
        power += expected[i] * expected[i];
        result.largest = std::max(result.largest, std::abs(expected[i] - got[i]));
    }
    result.nmse = error / power;
    return result;
}

// The tiny fixtures: logits of tokens (37 i + 11) mod 128, i < 24; llama.cpp's with an f32 cache.
struct TinyLogits {
    Doubles ours, llama_cpp, exact;
};

TinyLogits tiny_logits(const std::string& model_path, const std::string& logits_path) {
    TinyLogits result;
    for (const float value : read_floats(logits_path))
        result.llama_cpp.push_back(static_cast<double>(value));
    LoadedModel model(model_path);
    DoubleForward exact(model.file(), model.config());
    std::vector<TokenId> tokens;
    for (TokenId i = 0; i < 24; ++i) {
        tokens.push_back((37 * i + 11) % 128);
        const Doubles row = exact.next(tokens.back());
        result.exact.insert(result.exact.end(), row.begin(), row.end());
    }
    for (const auto& row : model.logits(tokens))
        result.ours.insert(result.ours.end(), row.begin(), row.end());
    return result;
}

TEST_CASE(
    "F32 models of the llama family agree with llama.cpp to the precision of a half-precision "
    "cache") {
    for (const std::string name : {"tiny-llama", "tiny-llama3", "tiny-qwen2"}) {
        KWAAI_FIXTURE(model, "inference/models/" + name + ".gguf");
        KWAAI_FIXTURE(recorded, "inference/models/" + name + ".logits");
        const TinyLogits logits = tiny_logits(model, recorded);
        const Difference ours = difference(logits.llama_cpp, logits.ours);
        MESSAGE(name << ": NMSE " << ours.nmse << ", largest difference " << ours.largest);
        CHECK(ours.nmse <= 1e-6);
        CHECK(ours.largest <= 5e-3);
        CHECK(difference(logits.exact, logits.llama_cpp).nmse <= 1e-11);  // the oracle is one
    }
}

TEST_CASE("quantised models agree with the exact forward to the noise of 8-bit activations") {
    for (const std::string type : {"Q8_0", "Q6_K", "Q5_K_M", "Q5_1", "Q4_K_M", "Q4_0"}) {
        KWAAI_FIXTURE(model, "inference/models/tiny-llama256-" + type + ".gguf");
        KWAAI_FIXTURE(recorded, "inference/models/tiny-llama256-" + type + ".logits");
        const TinyLogits logits = tiny_logits(model, recorded);
        const double ours = difference(logits.exact, logits.ours).nmse;
        const double theirs = difference(logits.exact, logits.llama_cpp).nmse;
        const double between = difference(logits.llama_cpp, logits.ours).nmse;
        MESSAGE(type << ": NMSE against the exact forward: ours " << ours << ", llama.cpp's "
                     << theirs << "; between the two " << between);
        CHECK(between <= 5e-4);
        CHECK(ours <= 5e-4);
        CHECK(ours <= 1.2 * theirs);
    }
}

TEST_CASE("stories260K writes its recorded 200 greedy tokens") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    KWAAI_FIXTURE(recorded, "models/stories260K.greedy.json");
    const json::Document document = read_json(recorded);
    const std::vector<TokenId> expected = ids(must(items(document.root())[0].at("generated_ids")));
    REQUIRE(expected.size() >= 200);

    LoadedModel model(path);
    LoadedModel::Session session = model.session();
    TokenId next = must(inference::Tokenizer::from_model(model.file())).bos().value();
    std::vector<TokenId> written;
    while (written.size() < 200) {
        next = argmax(model.continue_with(session, {{next}})[0]);
        written.push_back(next);
    }
    CHECK(written == std::vector<TokenId>(expected.begin(), expected.begin() + 200));
}

// Kullback-Leibler divergence over the 20 listed tokens and the rest, and whether the best token
// agrees.
double divergence(std::span<const float> logits, const json::Value& top, double logsumexp) {
    double largest = logits[argmax(logits)];
    double sum = 0;
    for (const float logit : logits)
        sum += std::exp(logit - largest);
    const double ours = largest + std::log(sum);
    double total = 0;
    double rest_expected = 1;
    double rest_ours = 1;
    for (const json::Value pair : items(top)) {
        const auto both = items(pair);
        const auto token = static_cast<TokenId>(must(both[0].integer()));
        const double expected = std::exp(must(both[1].number()) - logsumexp);
        const double probability = std::exp(logits[token] - ours);
        total += expected * std::log(expected / probability);
        rest_expected -= expected;
        rest_ours -= probability;
    }
    if (rest_expected > 1e-9 && rest_ours > 1e-9)
        total += rest_expected * std::log(rest_expected / rest_ours);
    return total;
}

TEST_CASE("SmolLM2 agrees with the float64 reference, teacher-forced over 20 prompts") {
    KWAAI_FIXTURE(recorded, "smollm2/reference.json");
    const auto path = testing::smollm2_model();
    if (!path) {
        MESSAGE("skipped: the SmolLM2 model is not in the cache (make model)");
        return;
    }
    engine::ComputePool pool(engine::usable_cores());
    LoadedModel model(*path, {.executor = &pool});
    const inference::Tokenizer tokenizer = model.tokenizer();
    const json::Document document = read_json(recorded);
    double total = 0;
    std::size_t positions = 0;
    std::size_t disagreements = 0;
    for (const json::Value prompt : items(document.root())) {
        std::vector<TokenId> tokens = ids(must(prompt.at("prompt_ids")));
        const std::string prompt_text(must(must(prompt.at("prompt")).string()));
        CHECK(tokenizer.encode(prompt_text, {.parse_special = true, .add_bos = false}) == tokens);
        const std::size_t first = tokens.size() - 1;
        const std::vector<TokenId> greedy = ids(must(prompt.at("greedy")));
        tokens.insert(tokens.end(), greedy.begin(), greedy.end() - 1);
        const auto logits = model.logits(tokens);
        const auto tops = items(must(prompt.at("top")));
        const auto sums = items(must(prompt.at("logsumexp")));
        for (std::size_t i = 0; i < greedy.size(); ++i, ++positions) {
            const auto& row = logits[first + i];
            total += divergence(row, tops[i], must(sums[i].number()));
            const auto best = items(items(tops[i])[0]);
            const auto second = items(items(tops[i])[1]);
            const double margin = must(best[1].number()) - must(second[1].number());
            const bool agrees = argmax(row) == static_cast<TokenId>(must(best[0].integer()));
            if (!agrees) ++disagreements;
            if (margin > 0.5)
                CHECK_MESSAGE(agrees, prompt_text, " at token ", i, ", margin ", margin);
        }
    }
    MESSAGE("mean KL divergence " << total / static_cast<double>(positions) << " over " << positions
                                  << " positions; the best token differs at " << disagreements);
    CHECK(total / static_cast<double>(positions) <= 0.01);
}

TEST_CASE("SmolLM2 reads four chunks of Frankenstein with the reference's perplexity") {
    KWAAI_FIXTURE(recorded, "smollm2/frankenstein.ids.json");
    const auto path = testing::smollm2_model();
    if (!path) {
        MESSAGE("skipped: the SmolLM2 model is not in the cache (make model)");
        return;
    }
    const json::Document document = read_json(recorded);
    const std::vector<TokenId> all = ids(document.root());
    engine::ComputePool pool(engine::usable_cores());
    LoadedModel model(*path, {.executor = &pool});
    const std::array expected{55.9869, 46.5878, 37.7144, 38.7489};  // smollm2/README.md
    double negative_log = 0;
    std::size_t scored = 0;
    for (std::size_t chunk = 0; chunk < expected.size(); ++chunk) {
        const std::span tokens = std::span(all).subspan(chunk * 512, 512);
        const auto logits = model.logits(tokens);
        for (std::size_t i = 256; i < 511; ++i, ++scored) {
            double sum = 0;
            for (const float logit : logits[i])
                sum += std::exp(logit - logits[i][tokens[i + 1]]);
            negative_log += std::log(sum);
        }
        const double perplexity = std::exp(negative_log / static_cast<double>(scored));
        MESSAGE("after chunk " << chunk + 1 << ": " << perplexity << ", reference "
                               << expected[chunk]);
        // 255 tokens are few: the noise of 8-bit activations moves their mean by half a percent.
        const double tolerance = chunk + 1 < expected.size() ? 0.02 : 0.01;
        CHECK(std::abs(perplexity / expected[chunk] - 1) <= tolerance);
    }
}

}  // namespace
}  // namespace kwaai::golden
