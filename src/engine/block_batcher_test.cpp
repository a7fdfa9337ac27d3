#include "engine/block_batcher.hpp"

#include <doctest/doctest.h>

#include "engine/block_tools_test.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::engine {
namespace {

constexpr inference::BlockRange kAll{0, 5};

// A batcher by hand; every step is of a session of its own, with one sequence.
struct Bench {
    explicit Bench(const std::string& path) : blocks(blocks_of(path)) {}

    void add(SessionId session,
             std::uint32_t tokens,
             inference::BlockRange range = kAll,
             std::uint32_t start = 0) {
        batcher.add({.batch = 1, .range = range},
                    {.session = session,
                     .start_position = start,
                     .token_count = tokens,
                     .rows = some_rows(tokens, blocks->config.hidden, session)},
                    [](const Result<Rows>&) {});
    }

    /// Computes a batch and says whose steps it finished.
    std::vector<SessionId> compute() {
        batcher.compute();
        std::vector<SessionId> ids;
        for (const FinishedStep& step : batcher.take_finished()) {
            CHECK(step.result.has_value());
            ids.push_back(step.session);
        }
        return ids;
    }

    std::shared_ptr<const LoadedBlocks> blocks;
    tensor::HeapSource memory;
    SerialExecutor executor;
    BlockBatcher batcher{*blocks, 256, memory, executor};
};

using Ids = std::vector<SessionId>;

TEST_CASE("short steps go before a long one that came first, which goes on a piece at a time") {
    KWAAI_FIXTURE(path, testing::kStories);
    Bench bench(path);
    bench.add(1, 300);
    CHECK(bench.compute().empty());
    bench.add(2, 1);
    bench.add(3, 4);
    CHECK(bench.compute() == Ids{2, 3});
    CHECK(bench.batcher.rows() == 256);
    CHECK(bench.compute() == Ids{1});
    CHECK(bench.batcher.rows() == 305);
    CHECK(bench.batcher.is_idle());
}

TEST_CASE("however many short steps there are, a long one has its share of each batch") {
    KWAAI_FIXTURE(path, testing::kStories);
    Bench bench(path);
    bench.add(1, 40);
    for (SessionId id = 2; id < 200; ++id)
        bench.add(id, 1);
    Ids first = bench.compute();
    CHECK(first.size() == BlockBatcher::kRowsMax - BlockBatcher::kLongRowsMin);
    CHECK(first.front() == 2);
    CHECK(bench.batcher.rows() == BlockBatcher::kRowsMax);
    for (SessionId id = 2; id < 98; ++id)
        bench.add(id, 1, kAll, 1);
    const Ids second = bench.compute();
    CHECK(second.front() == 1);  // its last 8 rows are a short step, and the oldest
    CHECK(second[1] == 98);      // then those that wait longest
}

TEST_CASE("ranges take turns, also where one always has something to compute") {
    KWAAI_FIXTURE(path, testing::kStories);
    Bench bench(path);
    bench.add(1, 400);
    bench.add(2, 1, {1, 3});
    CHECK(bench.compute().empty());
    CHECK(bench.compute() == Ids{2});
    bench.add(3, 1, {1, 3});
    CHECK(bench.compute().empty());
    CHECK(bench.compute() == Ids{3});
}

TEST_CASE("two sessions that fill a lane by turns do not keep the others waiting") {
    KWAAI_FIXTURE(path, testing::kStories);
    Bench bench(path);
    bench.add(1, 1);
    CHECK(bench.compute() == Ids{1});
    bench.add(9, 200, {0, 1});
    std::size_t long_finished = 0;
    for (std::uint32_t i = 0; i < 4; ++i) {
        bench.add(10 + i, 1);  // its lane was empty
        for (const SessionId id : bench.compute())
            long_finished += id == 9 ? 1 : 0;
    }
    CHECK(long_finished == 1);
}

TEST_CASE("a step without rows is done at once, in the order of its session") {
    KWAAI_FIXTURE(path, testing::kStories);
    Bench bench(path);
    bench.add(1, 0);
    CHECK(bench.batcher.is_idle());
    bench.add(1, 5);
    bench.add(1, 0, kAll, 2);
    bench.add(1, 0, kAll, 2);
    bench.add(1, 3, kAll, 2);
    CHECK(bench.compute() == Ids{1, 1, 1, 1});
    CHECK(bench.compute() == Ids{1});
    CHECK(bench.batcher.rows() == 8);
}

TEST_CASE("closing a session frees its pages and answers its steps") {
    KWAAI_FIXTURE(path, testing::kStories);
    Bench bench(path);
    bench.add(1, 200);
    bench.add(1, 10, kAll, 200);
    CHECK(bench.compute().empty());
    CHECK(bench.batcher.pool().pages_used() == 2);
    bench.batcher.close(1);
    CHECK(bench.batcher.is_idle());
    CHECK(bench.batcher.pool().pages_used() == 0);
    const auto finished = bench.batcher.take_finished();
    REQUIRE(finished.size() == 2);
    for (const FinishedStep& step : finished)
        CHECK(step.result.error().code == Errc::cancelled);
    bench.batcher.close(1);
}

// Memory that gives out after one buffer.
class PoorSource final : public tensor::BufferSource {
public:
    Result<tensor::Buffer> allocate(std::size_t size) override {
        if (is_spent_) return fail(Errc::limit_exceeded, "no memory");
        is_spent_ = true;
        return tensor::HeapSource().allocate(size);
    }

private:
    bool is_spent_ = false;
};

TEST_CASE("when memory gives out, the steps of that session fail, later ones too") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto blocks = blocks_of(path);
    PoorSource memory;
    SerialExecutor executor;
    BlockBatcher batcher(*blocks, 4096, memory, executor);
    const std::uint32_t hidden = blocks->config.hidden;
    const auto add = [&](SessionId session, std::uint32_t batch, std::uint32_t start) {
        batcher.add({.batch = batch, .range = kAll},
                    {.session = session,
                     .start_position = start,
                     .token_count = 1,
                     .rows = some_rows(batch, hidden, 1)},
                    [](const Result<Rows>&) {});
    };
    add(1, 1, 0);
    add(2, 300, 0);  // more pages than a buffer has
    add(2, 300, 1);
    while (!batcher.is_idle())
        batcher.compute();
    add(2, 300, 2);
    add(1, 1, 1);
    while (!batcher.is_idle())
        batcher.compute();
    std::size_t answered = 0;
    for (const FinishedStep& step : batcher.take_finished()) {
        ++answered;
        CHECK(step.result.has_value() == (step.session == 1));
        if (!step.result) CHECK(step.result.error().code == Errc::limit_exceeded);
    }
    CHECK(answered == 5);
    batcher.close(2);
    CHECK(batcher.pool().pages_used() == 1);
}

}  // namespace
}  // namespace kwaai::engine
