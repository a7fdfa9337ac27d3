#include "petals/backend_step.hpp"

#include <memory>

#include <doctest/doctest.h>

#include "engine/block_engine.hpp"
#include "engine/inline_block_backend.hpp"
#include "io/task_group.hpp"
#include "testing/fixtures.hpp"
#include "testing/simulation.hpp"

using namespace kwaai;
using namespace kwaai::petals;

namespace {

constexpr std::uint64_t kCacheBytes = std::uint64_t{1} << 20;

engine::BlockStep make_step(engine::SessionId session) {
    return {.session = session,
            .start_position = 0,
            .token_count = 5,
            .rows = std::vector<float>(5 * 64, 0.25F),
            .hypo_ids = {}};
}

io::Task<void> step_once(io::Loop& loop, engine::BlockBackend& backend, engine::SessionId session) {
    const Result<std::vector<float>> rows =
        co_await compute_step(loop, backend, make_step(session));
    static_cast<void>(rows);
}

io::Task<void> give_up(io::TaskGroup& group,
                       io::Loop& loop,
                       engine::BlockBackend& backend,
                       engine::SessionId session) {
    group.spawn(step_once, std::ref(loop), std::ref(backend), session);
    group.cancel();
    co_return;
}

}  // namespace

TEST_CASE("a step that another thread computes comes back to the loop, with the same bits") {
    KWAAI_FIXTURE(model, "petals/model");
    auto inline_backend = engine::InlineBlockBackend::load(model, std::nullopt, kCacheBytes);
    REQUIRE(inline_backend.has_value());
    testing::Simulation simulation;
    const auto expected = simulation.run(
        compute_step(simulation.loop(),
                     **inline_backend,
                     make_step((*inline_backend)->open({.max_length = 16}).value())));
    REQUIRE(expected.has_value());

    io::Loop loop;
    auto engine = engine::BlockEngine::load(model, {.threads = 1, .kv_bytes_max = kCacheBytes});
    REQUIRE(engine.has_value());
    const engine::SessionId session = (*engine)->open({.max_length = 16}).value();
    const auto rows = loop.run(compute_step(loop, **engine, make_step(session)));
    CHECK(rows.value() == *expected);
}

TEST_CASE("who waits for a step may give up while a thread computes it") {
    KWAAI_FIXTURE(model, "petals/model");
    io::Loop loop;
    auto engine = engine::BlockEngine::load(model, {.threads = 1, .kv_bytes_max = kCacheBytes});
    REQUIRE(engine.has_value());
    for (int i = 0; i < 50; ++i) {
        const engine::SessionId session = (*engine)->open({.max_length = 16}).value();
        loop.run(io::with_group(give_up, std::ref(loop), std::ref(**engine), session));
        (*engine)->close(session);
    }
    CHECK((*engine)->stats().sessions == 0);
    engine->reset();  // answers what it still has
    loop.poll();
}
