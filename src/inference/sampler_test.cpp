#include "inference/sampler.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <map>

#include <doctest/doctest.h>

namespace kwaai::inference {
namespace {

constexpr SamplingOptions kPlain{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0};

// How often each token is drawn from logits.
std::map<TokenId, int> counts(SamplingOptions options, std::span<const float> logits, int draws) {
    Sampler sampler(options);
    std::map<TokenId, int> result;
    for (int i = 0; i < draws; ++i)
        ++result[sampler.sample(logits)];
    return result;
}

TEST_CASE("temperature 0 takes the best token, the lowest id among equals, and never a NaN") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float infinite = std::numeric_limits<float>::infinity();
    SamplingOptions greedy = kPlain;
    greedy.temperature = 0;
    CHECK(Sampler(greedy).sample(std::array{nan, 1.0F, 3.0F, 3.0F, infinite}) == 2);
    CHECK(Sampler(greedy).sample(std::array{nan, nan}) == 0);
    CHECK(Sampler(kPlain).sample(std::array{nan, nan}) == 0);
}

TEST_CASE("draws follow the softmax of the logits") {
    const std::array logits{std::log(1.0F), std::log(2.0F), std::log(5.0F)};
    const auto result = counts(kPlain, logits, 8000);
    CHECK(result.at(0) == doctest::Approx(1000).epsilon(0.15));
    CHECK(result.at(1) == doctest::Approx(2000).epsilon(0.1));
    CHECK(result.at(2) == doctest::Approx(5000).epsilon(0.05));
}

TEST_CASE("a low temperature sharpens, a high one flattens") {
    const std::array logits{0.0F, 1.0F};
    SamplingOptions options = kPlain;
    options.temperature = 0.25F;
    CHECK(counts(options, logits, 4000)[1] ==
          doctest::Approx(4000 / (1 + std::exp(-4.0))).epsilon(0.02));
    options.temperature = 10;
    CHECK(counts(options, logits, 4000)[1] ==
          doctest::Approx(4000 / (1 + std::exp(-0.1))).epsilon(0.05));
}

TEST_CASE("top-k, top-p and min-p keep exactly the tokens they promise") {
    const std::array logits{std::log(0.5F), std::log(0.3F), std::log(0.15F), std::log(0.05F)};
    SamplingOptions options = kPlain;
    options.top_k = 2;
    CHECK(counts(options, logits, 500).size() == 2);
    options = kPlain;
    options.top_p = 0.85F;  // 0.5 + 0.3 < 0.85 <= 0.95
    CHECK(counts(options, logits, 500).size() == 3);
    options.top_p = 0;
    CHECK(counts(options, logits, 500).size() == 1);
    options = kPlain;
    options.min_p = 0.4F;  // of 0.5: 0.2
    CHECK(counts(options, logits, 500).size() == 2);
}

TEST_CASE("the same seed replays, another seed differs, and draw n depends on n alone") {
    std::array<float, 50> logits{};
    for (std::size_t i = 0; i < logits.size(); ++i)
        logits[i] = static_cast<float>(i % 7);
    SamplingOptions options = kPlain;
    const auto draw = [&](std::uint64_t seed) {
        options.seed = seed;
        Sampler sampler(options);
        std::vector<TokenId> tokens;
        for (int i = 0; i < 30; ++i)
            tokens.push_back(sampler.sample(logits));
        return tokens;
    };
    CHECK(draw(1) == draw(1));
    CHECK(draw(1) != draw(2));
}

TEST_CASE("penalties push recent tokens down, and forget what is older than repeat_last") {
    const std::array logits{2.0F, 1.5F, -1.0F};
    SamplingOptions options = kPlain;
    options.temperature = 0;
    options.repeat_penalty = 2;
    options.repeat_last = 2;
    Sampler sampler(options);
    CHECK(sampler.sample(logits) == 0);
    sampler.accept(0);
    CHECK(sampler.sample(logits) == 1);
    sampler.accept(1);
    CHECK(sampler.sample(logits) == 0);  // 1.0 and 0.75
    sampler.accept(2);
    CHECK(sampler.sample(logits) == 0);  // token 0 is no longer recent
    options.repeat_penalty = 1;
    options.frequency_penalty = 0.4F;
    options.repeat_last = 64;
    Sampler frequency(options);
    frequency.accept(0);
    CHECK(frequency.sample(logits) == 0);  // 1.6
    frequency.accept(0);
    CHECK(frequency.sample(logits) == 1);  // 1.2
}

TEST_CASE("options out of range are refused with their name and value") {
    SamplingOptions options;
    CHECK(options.validate());
    options.top_p = 1.5F;
    const auto refused = options.validate();
    REQUIRE(!refused);
    CHECK(refused.error().context.starts_with("top_p 1.5"));
    options = {};
    options.temperature = std::numeric_limits<float>::quiet_NaN();
    CHECK(!options.validate());
}

}  // namespace
}  // namespace kwaai::inference
