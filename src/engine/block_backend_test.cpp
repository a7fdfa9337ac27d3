// What every block backend must do.
#include "engine/block_backend.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>

#include <doctest/doctest.h>

#include "engine/block_tools_test.hpp"
#include "engine/inline_block_backend.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::engine {
namespace {

// Runs `test` on each implementation, with a cache of `pages`.
void on_each(const std::string& path,
             std::size_t pages,
             const std::function<void(BlockBackend&)>& test) {
    const auto blocks = blocks_of(path);
    SUBCASE("BlockEngine") {
        test(*engine_of(blocks, pages));
    }
    SUBCASE("InlineBlockBackend") {
        InlineBlockBackend backend(blocks, bytes_of_pages(*blocks, pages));
        test(backend);
    }
}

TEST_CASE("a prompt in any pieces gives the rows of the whole") {
    KWAAI_FIXTURE(path, testing::kStories);
    on_each(path, 64, [](BlockBackend& backend) {
        const Rows rows = some_rows(300, backend.config().hidden, 1);
        const Rows whole = through(backend, rows);
        for (const std::uint32_t chunk : {1U, 17U, 64U, 129U})
            CHECK(same_bits(through(backend, rows, chunk), whole));
    });
}

TEST_CASE("a batch of sequences gets what each gets alone") {
    KWAAI_FIXTURE(path, testing::kStories);
    on_each(path, 64, [](BlockBackend& backend) {
        constexpr std::uint32_t kBatch = 5;
        constexpr std::uint32_t kTokens = 70;
        const std::size_t hidden = backend.config().hidden;
        const Rows rows = some_rows(kBatch * kTokens, hidden, 3);
        Rows alone;
        for (std::uint32_t i = 0; i < kBatch; ++i) {
            const Rows one = through(backend, part_of(rows, i * kTokens, kTokens, hidden));
            alone.insert(alone.end(), one.begin(), one.end());
        }
        const SessionId session = must(backend.open({.batch = kBatch, .max_length = kTokens}));
        const Rows together =
            must(ask(backend, {.session = session, .token_count = kTokens, .rows = rows}));
        CHECK(same_bits(together, alone));
    });
}

TEST_CASE("taking back and replaying gives the rows of a fresh session") {
    KWAAI_FIXTURE(path, testing::kStories);
    on_each(path, 64, [](BlockBackend& backend) {
        const std::size_t hidden = backend.config().hidden;
        const Rows first = some_rows(140, hidden, 1);
        const Rows other = some_rows(50, hidden, 2);
        const SessionId session = must(backend.open({.max_length = 200}));
        const auto step = [&](std::uint32_t start, const Rows& rows) {
            return must(ask(backend,
                            {.session = session,
                             .start_position = start,
                             .token_count = static_cast<std::uint32_t>(rows.size() / hidden),
                             .rows = rows}));
        };
        const Rows fresh = step(0, first);
        for (const std::uint32_t cut : {0U, 1U, 63U, 64U, 65U, 139U, 140U}) {
            step(cut, other);
            const Rows replayed = step(cut, part_of(first, cut, 140 - cut, hidden));
            CHECK(same_bits(replayed, part_of(fresh, cut, 140 - cut, hidden)));
        }
        CHECK(same_bits(step(0, first), fresh));
    });
}

TEST_CASE("a part of the blocks served can be asked for, beside sessions through all of them") {
    KWAAI_FIXTURE(path, testing::kStories);
    on_each(path, 64, [](BlockBackend& backend) {
        const Rows rows = some_rows(90, backend.config().hidden, 4);
        const Rows whole = through(backend, rows);
        for (const std::uint32_t cut : {1U, 3U, 4U}) {
            const Rows middle = through(backend, rows, 31, inference::BlockRange{0, cut});
            CHECK(!same_bits(middle, whole));
            CHECK(same_bits(through(backend, middle, 50, inference::BlockRange{cut, 5}), whole));
        }
        CHECK(backend.open({.max_length = 1, .range = inference::BlockRange{3, 6}}).error().code ==
              Errc::invalid_argument);
    });
}

TEST_CASE("hypo_ids give each sequence the past of another") {
    KWAAI_FIXTURE(path, testing::kStories);
    on_each(path, 64, [](BlockBackend& backend) {
        const std::size_t hidden = backend.config().hidden;
        constexpr std::uint32_t kBatch = 3;
        for (const std::uint32_t past_tokens : {64U, 70U}) {
            const Rows past = some_rows(kBatch * past_tokens, hidden, 5);
            const Rows next = some_rows(kBatch * 2, hidden, 6);
            const std::vector<std::uint32_t> order{2, 0, 0};
            const SessionId session = must(backend.open({.batch = kBatch, .max_length = 128}));
            must(ask(backend, {.session = session, .token_count = past_tokens, .rows = past}));
            const Rows got = must(ask(backend,
                                      {.session = session,
                                       .start_position = past_tokens,
                                       .token_count = 2,
                                       .rows = next,
                                       .hypo_ids = order}));
            // Twice: sequences 1 and 2 have shared pages since.
            const Rows again = must(ask(backend,
                                        {.session = session,
                                         .start_position = past_tokens,
                                         .token_count = 2,
                                         .rows = next}));
            CHECK(same_bits(again, got));
            for (std::uint32_t i = 0; i < kBatch; ++i) {
                Rows alone = part_of(past, order[i] * past_tokens, past_tokens, hidden);
                const Rows own = part_of(next, i * 2, 2, hidden);
                alone.insert(alone.end(), own.begin(), own.end());
                CHECK(same_bits(part_of(got, i * 2, 2, hidden),
                                part_of(through(backend, alone), past_tokens, 2, hidden)));
            }
            backend.close(session);
        }
    });
}

TEST_CASE("hypo_ids stay within the pages that were promised") {
    KWAAI_FIXTURE(path, testing::kStories);
    on_each(path, 8, [](BlockBackend& backend) {
        const std::size_t hidden = backend.config().hidden;
        const SessionId session = must(backend.open({.batch = 4, .max_length = 128}));
        CHECK(backend.stats().kv_tokens_free == 0);
        std::uint32_t position = 0;
        for (std::uint32_t i = 0; position < 128; ++i) {
            const std::uint32_t count = std::min(1 + i % 9, 128 - position);
            const auto result = ask(backend,
                                    {.session = session,
                                     .start_position = position,
                                     .token_count = count,
                                     .rows = some_rows(std::size_t{4} * count, hidden, i),
                                     .hypo_ids = {i % 4, (i * 3 + 1) % 4, 0, 3}});
            REQUIRE_MESSAGE(result.has_value(), (result ? std::string() : result.error().context));
            position += count;
        }
    });
}

TEST_CASE("what cannot be is refused with numbers, and the session goes on") {
    KWAAI_FIXTURE(path, testing::kStories);
    on_each(path, 4, [](BlockBackend& backend) {
        const std::size_t hidden = backend.config().hidden;
        CHECK(backend.stats().kv_tokens_max == 256);
        const SessionId session = must(backend.open({.max_length = 100}));
        CHECK(backend.stats().kv_tokens_free == 128);
        CHECK(backend.stats().kv_bytes_free == backend.stats().kv_bytes_max / 2);
        const auto full = backend.open({.batch = 2, .max_length = 65});
        REQUIRE(!full);
        CHECK(full.error().code == Errc::limit_exceeded);
        CHECK(full.error().context == "the cache holds 256 tokens, 128 are free, 130 were asked");
        const Rows rows = some_rows(100, hidden, 1);
        const auto code = [&](BlockStep step) {
            return ask(backend, std::move(step)).error().code;
        };
        CHECK(code({.session = session + 1, .token_count = 100, .rows = rows}) == Errc::not_found);
        CHECK(code({.session = session, .token_count = 99, .rows = rows}) ==
              Errc::invalid_argument);
        CHECK(code({.session = session, .start_position = 1, .token_count = 99, .rows = rows}) ==
              Errc::invalid_argument);
        CHECK(code({.session = session, .token_count = 101, .rows = some_rows(101, hidden, 1)}) ==
              Errc::limit_exceeded);
        CHECK(must(ask(backend, {.session = session})).empty());
        CHECK(must(ask(backend, {.session = session, .token_count = 100, .rows = rows})).size() ==
              rows.size());
        backend.close(session);
        CHECK(code({.session = session, .token_count = 100, .rows = rows}) == Errc::not_found);
        CHECK(backend.stats().kv_tokens_free == 256);
        CHECK(backend.stats().steps_waiting == 0);
        backend.close(session);
    });
}

TEST_CASE("a promise made to one session is free for the next as soon as it is closed") {
    KWAAI_FIXTURE(path, testing::kStories);
    on_each(path, 2, [](BlockBackend& backend) {
        const Rows rows = some_rows(128, backend.config().hidden, 1);
        const Rows expected = through(backend, rows);
        for (int i = 0; i < 20; ++i)
            CHECK(same_bits(through(backend, rows, 50), expected));
    });
}

TEST_CASE("rows that are not finite harm nobody else, not even those who get their pages") {
    KWAAI_FIXTURE(path, testing::kStories);
    on_each(path, 8, [](BlockBackend& backend) {
        const std::size_t hidden = backend.config().hidden;
        const Rows rows = some_rows(100, hidden, 1);
        const Rows expected = through(backend, rows);
        for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                                std::numeric_limits<float>::infinity(),
                                -std::numeric_limits<float>::infinity(),
                                std::numeric_limits<float>::max(),
                                std::numeric_limits<float>::denorm_min()}) {
            std::vector<SessionId> sessions;
            for (int i = 0; i < 3; ++i)
                sessions.push_back(must(backend.open({.max_length = 128})));
            std::deque<StepAnswer> answers(3);
            for (std::size_t i = 0; i < 3; ++i)
                backend.submit({.session = sessions[i],
                                .token_count = 100,
                                .rows = i == 1 ? rows : Rows(100 * hidden, bad)},
                               answers[i].handler());
            for (std::size_t i = 0; i < 3; ++i) {
                const auto result = answers[i].take();
                REQUIRE(result);
                if (i == 1) CHECK(same_bits(*result, expected));
                backend.close(sessions[i]);
            }
            CHECK(same_bits(through(backend, rows), expected));
        }
    });
}

TEST_CASE("a handler may submit the next step and open and close sessions") {
    KWAAI_FIXTURE(path, testing::kStories);
    on_each(path, 4, [](BlockBackend& backend) {
        const std::size_t hidden = backend.config().hidden;
        const Rows rows = some_rows(20, hidden, 1);
        const Rows expected = through(backend, rows);
        const SessionId session = must(backend.open({.max_length = 20}));
        StepAnswer last;
        std::uint32_t position = 0;
        std::function<void()> next = [&] {
            backend.submit({.session = session,
                            .start_position = position,
                            .token_count = 1,
                            .rows = part_of(rows, position, 1, hidden)},
                           [&](Result<Rows> result) {
                               REQUIRE(result);
                               CHECK(same_bits(*result, part_of(expected, position, 1, hidden)));
                               if (++position < 20) return next();
                               backend.close(session);
                               CHECK(backend.open({.max_length = 256}));
                               last.handler()(std::move(result));
                           });
        };
        next();
        CHECK(last.take());
    });
}

}  // namespace
}  // namespace kwaai::engine
