#include "engine/block_engine.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <doctest/doctest.h>

#include "engine/block_batcher.hpp"
#include "engine/block_tools_test.hpp"
#include "engine/engine.hpp"
#include "engine/inline_block_backend.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::engine {
namespace {

std::vector<inference::TokenId> written_by_engine(const std::string& path,
                                                  const inference::SamplingOptions& sampling,
                                                  std::vector<inference::TokenId> prompt,
                                                  std::uint32_t count) {
    const auto engine = must(Engine::load(path, {.threads = 2}));
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<inference::TokenId> tokens;
    bool is_over = false;
    Request request{.prompt = std::move(prompt), .sampling = sampling, .max_tokens = count};
    request.ignore_end = true;
    must(engine->submit(std::move(request), [&](const Event& event) {
        const std::scoped_lock lock(mutex);
        tokens.insert(tokens.end(), event.tokens.begin(), event.tokens.end());
        is_over = event.finish.has_value();
        changed.notify_all();
    }));
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return is_over; });
    return tokens;
}

TEST_CASE("three backends in a row write the tokens of the whole model") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto pool = std::make_shared<ComputePool>(2);
    const auto load = [&](std::uint32_t begin, std::uint32_t end) {
        return must(BlockEngine::load(
            path,
            {.range = inference::BlockRange{begin, end}, .pool = pool, .kv_bytes_max = 1 << 20}));
    };
    const auto first = load(0, 2);
    const auto second = must(InlineBlockBackend::load(path, inference::BlockRange{2, 3}, 1 << 20));
    const auto third = load(3, 5);
    const auto ends = must(ModelEnds::load(path, {.pool = pool}));
    CHECK(first->stats().weight_bytes == third->stats().weight_bytes);
    CHECK(first->model_name() == "stories260K");
    for (const std::string_view text : {"Once upon a time", "The"})
        for (const float temperature : {0.0F, 0.9F}) {
            const inference::SamplingOptions sampling{.temperature = temperature, .seed = 7};
            const auto prompt = ends->tokenizer().encode(text, {});
            Chain chain(*ends, {first.get(), second.get(), third.get()}, 128);
            CHECK(write(chain, prompt, sampling, 100) ==
                  written_by_engine(path, sampling, prompt, 100));
        }
    CHECK(first->stats().sessions == 0);
    CHECK(first->stats().kv_tokens_free == first->stats().kv_tokens_max);
}

TEST_CASE("rows of a length that fills no vector go through, in company too") {
    const OddModel odd;
    const auto ends = must(ModelEnds::load(odd.path(), {.threads = 2}));
    const auto first = must(InlineBlockBackend::load(odd.path(), inference::BlockRange{0, 1}, 0));
    const auto second = must(BlockEngine::load(
        odd.path(), {.range = inference::BlockRange{1, 2}, .kv_bytes_max = 1 << 20}));
    const inference::SamplingOptions sampling{.temperature = 1, .seed = 3};
    Chain chain(*ends, {first.get(), second.get()}, 100);
    Chain company(*ends, {first.get(), second.get()}, 100);
    company.read(std::vector<inference::TokenId>{4, 5, 6});
    const auto written = write(chain, {3, 4, 5}, sampling, 90);
    CHECK(written == written_by_engine(odd.path(), sampling, {3, 4, 5}, 90));
}

TEST_CASE("sessions in company get what they get alone, and share batches") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto blocks = blocks_of(path);
    const auto backend = engine_of(blocks, 256);
    const std::size_t hidden = blocks->config.hidden;
    constexpr std::size_t kSessions = 24;

    struct One {
        Rows in, alone, together;
        SessionId session = 0;
        std::uint32_t tokens = 0;
        StepAnswer answer;
    };

    std::deque<One> all(kSessions);
    std::uint64_t rows = 0;
    for (std::size_t i = 0; i < kSessions; ++i) {
        all[i].tokens = static_cast<std::uint32_t>(i % 5 == 0 ? 150 + i : 1 + i % 7);
        all[i].in = some_rows(all[i].tokens, hidden, i);
        all[i].alone = through(*backend, all[i].in);
        all[i].session = must(backend->open({.max_length = all[i].tokens}));
        rows += all[i].tokens;
    }
    // The engine's thread is held in a handler until all have been submitted.
    std::mutex gate;
    gate.lock();
    const SessionId holder = must(backend->open({.max_length = 1}));
    backend->submit({.session = holder},
                    [&](const Result<Rows>&) { const std::scoped_lock wait(gate); });
    for (One& one : all)
        backend->submit({.session = one.session, .token_count = one.tokens, .rows = one.in},
                        one.answer.handler());
    const std::uint64_t before = backend->stats().batches;
    CHECK(backend->stats().steps_waiting >= kSessions);
    gate.unlock();
    for (One& one : all)
        CHECK(same_bits(must(one.answer.take()), one.alone));
    backend->close(holder);
    CHECK(backend->stats().batches - before <= rows / BlockBatcher::kRowsMax + 2);
}

TEST_CASE("closing a session answers the steps that wait, and the others go on") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto blocks = blocks_of(path);
    const auto backend = engine_of(blocks);
    const std::size_t hidden = blocks->config.hidden;
    const Rows rows = some_rows(128, hidden, 1);
    const Rows expected = through(*backend, rows);
    for (int round = 0; round < 10; ++round) {
        const SessionId kept = must(backend->open({.max_length = 128}));
        const SessionId closed = must(backend->open({.max_length = 2048}));
        std::deque<StepAnswer> answers(16);
        for (std::uint32_t i = 0; i < 16; ++i)
            backend->submit(
                {.session = closed, .start_position = i * 128, .token_count = 128, .rows = rows},
                answers[i].handler());
        StepAnswer other;
        backend->submit({.session = kept, .token_count = 128, .rows = rows}, other.handler());
        if (round % 2 == 1) CHECK(answers.front().take());
        backend->close(closed);
        CHECK(same_bits(must(other.take()), expected));
        for (std::size_t i = static_cast<std::size_t>(round % 2); i < answers.size(); ++i)
            if (const auto result = answers[i].take(); !result)
                CHECK(result.error().code == Errc::cancelled);
        backend->close(kept);
    }
    CHECK(backend->stats().steps_waiting == 0);
}

TEST_CASE("a step that is computed when its session is closed is answered as cancelled") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto blocks = blocks_of(path);
    const auto backend = engine_of(blocks);
    const SessionId holder = must(backend->open({.max_length = 1}));
    const SessionId session = must(backend->open({.max_length = 1}));
    std::mutex gate;
    gate.lock();
    backend->submit({.session = holder},
                    [&](const Result<Rows>&) { const std::scoped_lock wait(gate); });
    StepAnswer answer;
    backend->submit(
        {.session = session, .token_count = 1, .rows = some_rows(1, blocks->config.hidden, 1)},
        answer.handler());
    backend->close(session);
    gate.unlock();
    const auto result = answer.take();
    REQUIRE(!result);
    CHECK(result.error().code == Errc::cancelled);
}

TEST_CASE("destroying the engine answers all that waits") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto blocks = blocks_of(path);
    auto backend = engine_of(blocks);
    std::deque<StepAnswer> answers(8);
    for (StepAnswer& answer : answers) {
        const SessionId session = must(backend->open({.max_length = 256}));
        backend->submit({.session = session,
                         .token_count = 256,
                         .rows = some_rows(256, blocks->config.hidden, 1)},
                        answer.handler());
    }
    backend.reset();
    for (StepAnswer& answer : answers)
        if (const auto result = answer.take(); !result)
            CHECK(result.error().code == Errc::cancelled);
}

TEST_CASE("sessions of many threads get what they get alone") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto blocks = blocks_of(path);
    const auto backend = engine_of(blocks, 64);
    const Rows rows = some_rows(120, blocks->config.hidden, 1);
    const Rows expected = through(*backend, rows);
    std::atomic<int> equal{0};
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < 6; ++i)
        threads.emplace_back([&, i] {
            for (std::uint32_t round = 0; round < 4; ++round)
                if (same_bits(through(*backend, rows, 1 + i * 11 + round), expected)) ++equal;
        });
    for (std::thread& thread : threads)
        thread.join();
    CHECK(equal == 24);
    CHECK(backend->stats().sessions == 0);
}

TEST_CASE("blocks that are not in the model are not loaded") {
    KWAAI_FIXTURE(path, testing::kStories);
    CHECK(BlockEngine::load(path, {.range = inference::BlockRange{3, 6}}).error().code ==
          Errc::invalid_argument);
    CHECK(BlockEngine::load(path, {.threads = 100000}).error().code == Errc::invalid_argument);
    CHECK(InlineBlockBackend::load("/nonexistent.gguf", {}, 0).error().code == Errc::not_found);
    const auto small = must(InlineBlockBackend::load(path, inference::BlockRange{1, 2}, 1));
    CHECK(small->stats().kv_tokens_max == 64);  // never less than a page
    CHECK(small->range() == inference::BlockRange{1, 2});
}

}  // namespace
}  // namespace kwaai::engine
