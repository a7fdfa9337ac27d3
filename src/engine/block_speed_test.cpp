#include "engine/block_speed.hpp"

#include <cmath>

#include "engine/block_tools_test.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::engine {
namespace {

TEST_CASE("blocks know how fast they are, and keep nothing of finding out") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto engine = must(BlockEngine::load(path, {.threads = 1}));
    const std::uint64_t free_before = engine->stats().kv_bytes_free;
    const double speed = must(measure_rows_per_second(*engine));
    CHECK(std::isfinite(speed));
    CHECK(speed > 1);  // a quarter of a million parameters
    CHECK(engine->stats().rows >= 1);
    CHECK(engine->stats().sessions == 0);
    CHECK(engine->stats().kv_bytes_free == free_before);
}

TEST_CASE("blocks without room for a few positions say so instead of how fast they are") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto engine = must(BlockEngine::load(path, {.threads = 1, .kv_bytes_max = 1}));
    const SessionId greedy = must(engine->open({.batch = 1, .max_length = 64, .range = {}}));
    const auto refused = measure_rows_per_second(*engine);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::limit_exceeded);
    engine->close(greedy);
}

}  // namespace
}  // namespace kwaai::engine
