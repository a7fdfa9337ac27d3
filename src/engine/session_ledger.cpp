#include "engine/session_ledger.hpp"

#include <algorithm>
#include <string>

#include "kernels/attention.hpp"

namespace kwaai::engine {
namespace {

constexpr std::uint64_t kPage = kernels::kPagePositions;

std::string blocks(inference::BlockRange range) {
    return std::to_string(range.begin) + ":" + std::to_string(range.end);
}

}  // namespace

Result<SessionId> SessionLedger::open(const SessionOptions& options) {
    const inference::BlockRange range = options.range.value_or(served_);
    if (!served_.covers(range))
        return fail(
            Errc::invalid_argument,
            "blocks " + blocks(range) + " are not served here: these are " + blocks(served_));
    if (options.batch == 0) return fail(Errc::invalid_argument, "a session of no sequences");
    // A sequence of no positions counts as one page: so sessions are as bounded as pages.
    const std::uint64_t pages_each =
        std::max<std::uint64_t>((std::uint64_t{options.max_length} + kPage - 1) / kPage, 1);
    const std::uint64_t pages = options.batch * pages_each;
    if (pages > pages_free())
        return fail(Errc::limit_exceeded,
                    "the cache holds " + std::to_string(tokens_max()) + " tokens, " +
                        std::to_string(tokens_free()) + " are free, " +
                        std::to_string(std::uint64_t{options.batch} * options.max_length) +
                        " were asked");
    pages_promised_ += pages;
    const SessionId id = next_id_++;
    sessions_.emplace(id,
                      Session{.shape = {.batch = options.batch, .range = range},
                              .max_length = options.max_length,
                              .pages = pages});
    return id;
}

Result<SessionShape> SessionLedger::admit(const BlockStep& step) {
    const auto found = sessions_.find(step.session);
    if (found == sessions_.end())
        return fail(Errc::not_found, "session " + std::to_string(step.session) + " is not open");
    Session& session = found->second;
    KWAAI_CHECKED(check_positions(session, step));
    KWAAI_CHECKED(check_shapes(session, step));
    const std::uint64_t rows = std::uint64_t{session.shape.batch} * step.token_count;
    KWAAI_CHECKED(check_queue(session, rows));
    session.length = step.start_position + step.token_count;
    session.has_stepped = true;
    ++session.steps_waiting;
    session.rows_waiting += rows;
    ++steps_waiting_;
    rows_waiting_ += rows;
    return session.shape;
}

Result<void> SessionLedger::check_positions(const Session& session, const BlockStep& step) const {
    if (step.start_position > session.length)
        return fail(Errc::invalid_argument,
                    "the step starts at position " + std::to_string(step.start_position) +
                        " and the session has only " + std::to_string(session.length));
    const std::uint64_t end = std::uint64_t{step.start_position} + step.token_count;
    if (end > session.max_length)
        return fail(Errc::limit_exceeded,
                    "Maximum length exceeded: the step ends at position " + std::to_string(end) +
                        " and the session was opened for " + std::to_string(session.max_length));
    return {};
}

// The positions have been checked: the product of the shape is bounded by the cache.
Result<void> SessionLedger::check_shapes(const Session& session, const BlockStep& step) const {
    const std::uint32_t batch = session.shape.batch;
    if (step.rows.size() != std::uint64_t{batch} * step.token_count * hidden_)
        return fail(Errc::invalid_argument,
                    "the step has " + std::to_string(step.rows.size()) + " values, not [" +
                        std::to_string(batch) + ", " + std::to_string(step.token_count) + ", " +
                        std::to_string(hidden_) + "]");
    if (step.hypo_ids.empty()) return {};
    if (step.hypo_ids.size() != batch)
        return fail(Errc::invalid_argument,
                    std::to_string(step.hypo_ids.size()) + " hypo_ids for a batch of " +
                        std::to_string(batch));
    const std::uint32_t largest = std::ranges::max(step.hypo_ids);
    if (largest >= batch)
        return fail(Errc::invalid_argument,
                    "hypo_ids name sequence " + std::to_string(largest) + " of a batch of " +
                        std::to_string(batch));
    return {};
}

Result<void> SessionLedger::check_queue(const Session& session, std::uint64_t rows) const {
    const bool is_session_full = session.steps_waiting >= kStepsMax ||
                                 session.rows_waiting + rows > 2 * session.pages * kPage;
    if (is_session_full || rows_waiting_ + rows > 2 * tokens_max() ||
        steps_waiting_ >= kStepsMax * pages_max_)
        return fail(Errc::unavailable, "too many steps are waiting; try again later");
    return {};
}

bool SessionLedger::end_step(SessionId session, std::size_t rows) {
    --steps_waiting_;
    rows_waiting_ -= rows;
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return false;
    --found->second.steps_waiting;
    found->second.rows_waiting -= rows;
    return true;
}

bool SessionLedger::close(SessionId session) {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return false;
    pages_promised_ -= found->second.pages;
    const bool has_stepped = found->second.has_stepped;
    sessions_.erase(found);
    return has_stepped;
}

std::uint64_t SessionLedger::tokens_max() const {
    return pages_max_ * kPage;
}

std::uint64_t SessionLedger::tokens_free() const {
    return pages_free() * kPage;
}

}  // namespace kwaai::engine
