#include "engine/model_ends.hpp"

#include <doctest/doctest.h>

#include "engine/block_tools_test.hpp"
#include "engine/engine.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::engine {
namespace {

TEST_CASE("the ends of a model know what the whole model knows, without its blocks") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto ends = must(ModelEnds::load(path, {.threads = 1}));
    const auto engine = must(Engine::load(path, {.threads = 1}));
    CHECK(ends->model_name() == engine->model_name());
    CHECK(ends->context() == engine->context());
    CHECK(ends->config().block_count == engine->config().block_count);
    CHECK(ends->chat_template().has_value() == engine->chat_template().has_value());
    CHECK(ends->tokenizer().encode("Once", {}) == engine->tokenizer().encode("Once", {}));
    CHECK(ends->weight_bytes() < engine->stats().weight_bytes / 4);
    CHECK(ends->stats().arithmetic_id == engine->stats().arithmetic_id);
    CHECK(ends->stats().isa == engine->stats().isa);
}

TEST_CASE("rows have the same logits alone and together, also where the vocabulary is odd") {
    const OddModel odd;
    for (const auto& path : {testing::fixture(testing::kStories), std::optional(odd.path())}) {
        if (!path) continue;
        const auto ends = must(ModelEnds::load(*path, {.threads = 2}));
        const std::vector<inference::TokenId> tokens{1, 5, 12, 7};
        const Rows rows = ends->embed(tokens);
        const std::size_t hidden = ends->config().hidden;
        const std::size_t vocabulary = ends->config().vocabulary;
        REQUIRE(rows.size() == tokens.size() * hidden);
        const Rows together = ends->head(rows);
        REQUIRE(together.size() == tokens.size() * vocabulary);
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            CHECK(same_bits(ends->embed(std::span(tokens).subspan(i, 1)),
                            part_of(rows, i, 1, hidden)));
            CHECK(same_bits(ends->head(part_of(rows, i, 1, hidden)),
                            part_of(together, i, 1, vocabulary)));
        }
    }
}

TEST_CASE("no tokens have no rows, and no rows no logits") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto ends = must(ModelEnds::load(path, {.threads = 1}));
    CHECK(ends->embed({}).empty());
    CHECK(ends->head({}).empty());
}

TEST_CASE("a context that the model does not have is refused") {
    KWAAI_FIXTURE(path, testing::kStories);
    CHECK(ModelEnds::load(path, {.context = 100000}).error().code == Errc::invalid_argument);
    CHECK(must(ModelEnds::load(path, {.context = 33, .threads = 1}))->context() == 33);
    CHECK(ModelEnds::load("/nonexistent.gguf", {}).error().code == Errc::not_found);
}

}  // namespace
}  // namespace kwaai::engine
