#include "engine/block_batcher.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checked.hpp"
#include "kernels/isa.hpp"

namespace kwaai::engine {

BlockBackendStats describe(const LoadedBlocks& blocks, const SessionLedger& ledger) {
    const std::uint64_t page_bytes = blocks.span.kv_geometry().page_bytes();
    return {.weight_bytes = blocks.span.size_bytes(),
            .kv_bytes_max = ledger.pages_max() * page_bytes,
            .kv_bytes_free = ledger.pages_free() * page_bytes,
            .kv_tokens_max = ledger.tokens_max(),
            .kv_tokens_free = ledger.tokens_free(),
            .sessions = ledger.sessions(),
            .steps_waiting = ledger.steps_waiting(),
            .isa = kernels::best().name,
            .arithmetic_id = kernels::kArithmeticId};
}

BlockBatcher::BlockBatcher(const LoadedBlocks& blocks,
                           std::size_t pages_max,
                           tensor::BufferSource& memory,
                           Executor& executor)
    : blocks_(blocks),
      pool_(blocks.span.kv_geometry(), pages_max, memory),
      workspace_(blocks.config, kRowsMax, executor, kernels::best()),
      stride_(round_up(std::size_t{blocks.config.hidden}, std::size_t{16})),
      hidden_(kRowsMax * stride_) {}

void BlockBatcher::add(const SessionShape& shape, BlockStep step, StepHandler done) {
    Session& session = sessions_[step.session];
    if (session.kv.empty()) {
        session.id = step.session;
        session.shape = shape;
        for (std::uint32_t i = 0; i < shape.batch; ++i)
            session.kv.emplace_back(pool_);
    }
    const std::size_t rows = std::size_t{shape.batch} * step.token_count;
    session.steps.push_back({.step = std::move(step), .done = std::move(done), .rows = rows});
    if (session.failure)
        fail_steps(session, *session.failure);
    else if (session.steps.size() == 1)
        enter_lane(session);
}

// Puts a session whose first step is new where it will be computed; steps without rows are done at
// once.
void BlockBatcher::enter_lane(Session& session) {
    while (!session.steps.empty() && session.steps.front().rows == 0) {
        begin(session, session.steps.front().step);
        finish_step(session);
    }
    if (session.steps.empty()) return;
    // A new lane has had its turn: else one that empties and fills again would always be next.
    Lane& lane = lanes_.try_emplace(session.shape.range, Lane{turn_, {}}).first->second;
    lane.ready.push_back(&session);
}

void BlockBatcher::leave_lane(Session& session) {
    const auto lane = lanes_.find(session.shape.range);
    if (lane != lanes_.end()) std::erase(lane->second.ready, &session);
}

void BlockBatcher::close(SessionId id) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return;
    leave_lane(found->second);
    std::erase_if(lanes_, [](const auto& entry) { return entry.second.ready.empty(); });
    fail_steps(found->second, Error{Errc::cancelled, "the session was closed"});
    sessions_.erase(found);
}

void BlockBatcher::close_all() {
    while (!sessions_.empty())
        close(sessions_.begin()->first);
}

void BlockBatcher::compute() {
    if (lanes_.empty()) return;
    const auto next = std::ranges::min_element(
        lanes_, {}, [](const auto& entry) { return entry.second.last_turn; });
    next->second.last_turn = ++turn_;
    collect(next->second);
    for (const auto& [session, error] : failed_) {
        leave_lane(*session);
        fail_steps(*session, error);
        session->failure = error;
    }
    failed_.clear();
    if (!rows_.empty()) forward(next->first);
    std::erase_if(lanes_, [](const auto& entry) { return entry.second.ready.empty(); });
}

void BlockBatcher::collect(Lane& lane) {
    rows_.clear();
    parts_.clear();
    const auto is_short = [](const Session* session) {
        return session->rows_left() <= kShortRowsMax;
    };
    const bool has_long = !std::ranges::all_of(lane.ready, is_short);
    const std::size_t room = has_long ? kRowsMax - kLongRowsMin : kRowsMax;
    std::vector<Session*> long_ones;
    for (Session* session : lane.ready) {
        if (!is_short(session))
            long_ones.push_back(session);
        else if (session->rows_left() <= room - rows_.size())
            take_rows(*session, session->rows_left());
    }
    for (Session* session : long_ones)
        if (rows_.size() < kRowsMax)
            take_rows(*session, std::min(session->rows_left(), kRowsMax - rows_.size()));
}

// What a step asks for before its rows are computed.
void BlockBatcher::begin(Session& session, const BlockStep& step) {
    for (inference::KvSequence& sequence : session.kv)
        sequence.truncate(step.start_position);
    if (step.hypo_ids.empty()) return;
    std::vector<inference::KvSequence> chosen;
    for (const std::uint32_t id : step.hypo_ids)
        chosen.push_back(session.kv[id].fork());
    session.kv = std::move(chosen);
}

// Adds the next rows of a session's first step to the batch.
void BlockBatcher::take_rows(Session& session, std::size_t count) {
    Queued& queued = session.steps.front();
    if (queued.rows_done == 0) begin(session, queued.step);
    if (auto reserved = reserve(session, queued.rows_done, count); !reserved) {
        failed_.emplace_back(&session, std::move(reserved).error());
        return;
    }
    const std::size_t tokens = queued.step.token_count;
    for (std::size_t row = queued.rows_done; row < queued.rows_done + count; ++row)
        rows_.push_back({&session.kv[row / tokens],
                         queued.step.start_position + static_cast<std::uint32_t>(row % tokens)});
    parts_.push_back({&session, queued.rows_done, count});
    copy_part(parts_.back(), rows_.size() - count, true);
}

// Fails only where the machine has less memory than the cache promises.
Result<void> BlockBatcher::reserve(Session& session, std::size_t first, std::size_t count) {
    const BlockStep& step = session.steps.front().step;
    const std::size_t tokens = step.token_count;
    for (std::size_t row = first; row < first + count;) {
        const std::size_t sequence = row / tokens;
        const std::size_t end = std::min((sequence + 1) * tokens, first + count);
        const auto positions = static_cast<std::uint32_t>(end - sequence * tokens);
        KWAAI_CHECKED(session.kv[sequence].reserve(step.start_position + positions));
        row = end;
    }
    return {};
}

void BlockBatcher::copy_part(const Part& part, std::size_t batch_row, bool to_batch) {
    const std::size_t hidden = blocks_.config.hidden;
    float* step_row = part.session->steps.front().step.rows.data() + part.first * hidden;
    float* batch = hidden_.data() + batch_row * stride_;
    for (std::size_t row = 0; row < part.count; ++row, step_row += hidden, batch += stride_)
        std::memcpy(
            to_batch ? batch : step_row, to_batch ? step_row : batch, hidden * sizeof(float));
}

void BlockBatcher::forward(inference::BlockRange range) {
    blocks_.span.forward({rows_, hidden_.data(), stride_}, workspace_, range);
    ++batches_;
    rows_computed_ += rows_.size();
    std::size_t batch_row = 0;
    for (const Part& part : parts_) {
        copy_part(part, batch_row, false);
        batch_row += part.count;
        Session& session = *part.session;
        session.steps.front().rows_done += part.count;
        if (session.rows_left() > 0) continue;
        leave_lane(session);
        finish_step(session);
        enter_lane(session);
    }
}

void BlockBatcher::finish_step(Session& session) {
    Queued queued = std::move(session.steps.front());
    session.steps.pop_front();
    finished_.push_back(
        {session.id, queued.rows, std::move(queued.done), std::move(queued.step.rows)});
}

void BlockBatcher::fail_steps(Session& session, const Error& error) {
    for (Queued& queued : session.steps)
        finished_.push_back(
            {session.id, queued.rows, std::move(queued.done), std::unexpected(error)});
    session.steps.clear();
}

}  // namespace kwaai::engine
