#include "engine/session_ledger.hpp"

#include <limits>

#include <doctest/doctest.h>

namespace kwaai::engine {
namespace {

constexpr std::uint32_t kHidden = 8;
constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();

SessionLedger ledger_of(std::size_t pages) {
    return SessionLedger({.begin = 2, .end = 6}, kHidden, pages);
}

BlockStep step_of(SessionId session,
                  std::uint32_t start,
                  std::uint32_t tokens,
                  std::uint32_t batch = 1) {
    return {.session = session,
            .start_position = start,
            .token_count = tokens,
            .rows = std::vector<float>(std::size_t{batch} * tokens * kHidden)};
}

Errc code_of(SessionLedger& ledger, const BlockStep& step) {
    const auto admitted = ledger.admit(step);
    REQUIRE(!admitted);
    return admitted.error().code;
}

TEST_CASE("a session is promised whole pages for each of its sequences") {
    SessionLedger ledger = ledger_of(10);
    CHECK(ledger.tokens_max() == 640);
    const auto session = ledger.open({.batch = 3, .max_length = 65});
    REQUIRE(session);
    CHECK(ledger.pages_free() == 4);
    CHECK(ledger.tokens_free() == 256);
    const auto refused = ledger.open({.batch = 1, .max_length = 257});
    REQUIRE(!refused);
    CHECK(refused.error().code == Errc::limit_exceeded);
    CHECK(refused.error().context == "the cache holds 640 tokens, 256 are free, 257 were asked");
    CHECK(ledger.open({.batch = 1, .max_length = 256}));
    CHECK(ledger.tokens_free() == 0);
    CHECK(!ledger.close(*session));
    CHECK(ledger.pages_free() == 6);
}

TEST_CASE("a session without positions counts as a page, so that sessions are bounded") {
    SessionLedger ledger = ledger_of(2);
    const auto first = ledger.open({.max_length = 0});
    REQUIRE(first);
    CHECK(ledger.admit(step_of(*first, 0, 0)));
    CHECK(code_of(ledger, step_of(*first, 0, 1)) == Errc::limit_exceeded);
    CHECK(ledger.open({.max_length = 0}));
    CHECK(!ledger.open({.max_length = 0}));
}

TEST_CASE("the largest numbers that a peer can ask for are refused") {
    SessionLedger ledger = ledger_of(10);
    CHECK(ledger.open({.batch = kMost, .max_length = kMost}).error().code == Errc::limit_exceeded);
    CHECK(ledger.open({.batch = kMost, .max_length = 0}).error().code == Errc::limit_exceeded);
    CHECK(ledger.open({.batch = 0, .max_length = 1}).error().code == Errc::invalid_argument);
    const auto session = ledger.open({.max_length = 64});
    REQUIRE(session);
    BlockStep step = step_of(*session, 0, 1);
    step.token_count = kMost;
    CHECK(code_of(ledger, step) == Errc::limit_exceeded);
    step.start_position = kMost;
    CHECK(code_of(ledger, step) == Errc::invalid_argument);
}

TEST_CASE("only blocks that are served can be asked for") {
    SessionLedger ledger = ledger_of(10);
    using inference::BlockRange;
    for (const BlockRange range : {BlockRange{2, 6}, {2, 3}, {5, 6}, {3, 5}})
        CHECK(ledger.open({.max_length = 1, .range = range}));
    for (const BlockRange range : {BlockRange{1, 6}, {2, 7}, {3, 3}, {4, 3}, {0, 0}, {6, 7}})
        CHECK(ledger.open({.max_length = 1, .range = range}).error().code ==
              Errc::invalid_argument);
}

TEST_CASE("a step may take back positions but not leave any out") {
    SessionLedger ledger = ledger_of(10);
    const auto session = ledger.open({.max_length = 20});
    REQUIRE(session);
    CHECK(ledger.admit(step_of(*session, 0, 15)));
    CHECK(code_of(ledger, step_of(*session, 16, 1)) == Errc::invalid_argument);
    CHECK(ledger.admit(step_of(*session, 5, 3)));
    CHECK(code_of(ledger, step_of(*session, 9, 1)) == Errc::invalid_argument);
    CHECK(ledger.admit(step_of(*session, 8, 12)));
    const auto beyond = ledger.admit(step_of(*session, 20, 1));
    REQUIRE(!beyond);
    CHECK(beyond.error().code == Errc::limit_exceeded);
    CHECK(beyond.error().context.starts_with("Maximum length exceeded"));
    CHECK(ledger.admit(step_of(*session, 20, 0)));
}

TEST_CASE("rows and hypo_ids must have the shape of the session") {
    SessionLedger ledger = ledger_of(10);
    const auto session = ledger.open({.batch = 2, .max_length = 20});
    REQUIRE(session);
    CHECK(code_of(ledger, step_of(*session, 0, 3, 1)) == Errc::invalid_argument);
    CHECK(code_of(ledger, step_of(*session, 0, 3, 3)) == Errc::invalid_argument);
    BlockStep step = step_of(*session, 0, 3, 2);
    for (const std::vector<std::uint32_t>& ids :
         {std::vector<std::uint32_t>{0}, {0, 1, 1}, {0, 2}, {kMost, 0}}) {
        step.hypo_ids = ids;
        CHECK(code_of(ledger, step) == Errc::invalid_argument);
    }
    step.hypo_ids = {1, 1};
    CHECK(ledger.admit(step));
}

TEST_CASE("what waits is bounded, in steps and in rows") {
    SessionLedger ledger = ledger_of(10);
    const auto session = ledger.open({.max_length = 64});
    REQUIRE(session);
    for (std::uint32_t i = 0; i < 2; ++i)
        CHECK(ledger.admit(step_of(*session, 0, 64)));
    CHECK(code_of(ledger, step_of(*session, 0, 1)) == Errc::unavailable);
    CHECK(ledger.end_step(*session, 64));
    CHECK(ledger.admit(step_of(*session, 0, 1)));
    const auto other = ledger.open({.max_length = 64});
    REQUIRE(other);
    for (std::uint32_t i = 0; i < SessionLedger::kStepsMax; ++i)
        CHECK(ledger.admit(step_of(*other, 0, 0)));
    CHECK(code_of(ledger, step_of(*other, 0, 0)) == Errc::unavailable);
}

TEST_CASE("the rows of closed sessions count until they are answered") {
    SessionLedger ledger = ledger_of(1);
    for (int i = 0; i < 2; ++i) {
        const auto session = ledger.open({.max_length = 64});
        REQUIRE(session);
        CHECK(ledger.admit(step_of(*session, 0, 64)));
        CHECK(ledger.close(*session));
    }
    const auto session = ledger.open({.max_length = 64});
    REQUIRE(session);
    CHECK(code_of(ledger, step_of(*session, 0, 64)) == Errc::unavailable);
    CHECK(!ledger.end_step(1, 64));
    CHECK(ledger.admit(step_of(*session, 0, 64)));
    CHECK(ledger.steps_waiting() == 2);
}

TEST_CASE("a session that is closed or never was is not found") {
    SessionLedger ledger = ledger_of(1);
    CHECK(code_of(ledger, step_of(7, 0, 1)) == Errc::not_found);
    const auto session = ledger.open({.max_length = 64});
    REQUIRE(session);
    CHECK(!ledger.close(*session));
    CHECK(!ledger.close(*session));
    CHECK(ledger.pages_free() == 1);
    CHECK(code_of(ledger, step_of(*session, 0, 1)) == Errc::not_found);
}

}  // namespace
}  // namespace kwaai::engine
