// Which rows go through the blocks next: steps of many sessions in one batch. Confined to one
// thread.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/executor.hpp"
#include "engine/block_backend.hpp"
#include "engine/loading.hpp"
#include "engine/session_ledger.hpp"
#include "inference/kv_cache.hpp"
#include "inference/model.hpp"
#include "tensor/buffer.hpp"

namespace kwaai::engine {

/// A step that has its answer, to be given to its handler.
struct FinishedStep {
    SessionId session;
    std::size_t rows;
    StepHandler done;
    Result<std::vector<float>> result;
};

/// What a backend can say of itself without its counters.
[[nodiscard]] BlockBackendStats describe(const LoadedBlocks& blocks, const SessionLedger& ledger);

/// Runs steps that a ledger has admitted. Sessions of equal ranges share batches; ranges take
/// turns. In a batch short steps come first, those who write; long ones, prompts, are computed a
/// piece at a time, in the order of their arrival.
class BlockBatcher {
public:
    /// Rows of a batch: enough for full tiles, few enough that activations stay in the second-level
    /// cache.
    static constexpr std::size_t kRowsMax = 128;
    static constexpr std::size_t kShortRowsMax = 16;  // rows left of a step that goes first
    static constexpr std::size_t kLongRowsMin = 32;   // of a batch, kept for a long step that waits

    /// `blocks`, `memory` for keys and values, and `executor` must outlive the batcher.
    BlockBatcher(const LoadedBlocks& blocks,
                 std::size_t pages_max,
                 tensor::BufferSource& memory,
                 Executor& executor);

    void add(const SessionShape& shape, BlockStep step, StepHandler done);
    /// Frees a session's cache and answers its steps with `Errc::cancelled`.
    void close(SessionId session);
    void close_all();

    [[nodiscard]] bool is_idle() const { return lanes_.empty(); }

    /// One batch through the blocks; nothing while idle.
    void compute();

    /// What has been answered since the last call, in order.
    [[nodiscard]] std::vector<FinishedStep> take_finished() { return std::exchange(finished_, {}); }

    [[nodiscard]] const inference::KvPool& pool() const { return pool_; }

    [[nodiscard]] std::uint64_t batches() const { return batches_; }

    [[nodiscard]] std::uint64_t rows() const { return rows_computed_; }

private:
    struct Queued {
        BlockStep step;
        StepHandler done;
        std::size_t rows = 0;       // batch * token_count
        std::size_t rows_done = 0;  // in the order [batch, token_count]
    };

    struct Session {
        SessionId id;
        SessionShape shape;
        std::vector<inference::KvSequence> kv;  // [batch]
        std::deque<Queued> steps;
        std::optional<Error> failure;  // of an earlier step: what follows it has no past

        [[nodiscard]] std::size_t rows_left() const {
            return steps.front().rows - steps.front().rows_done;
        }
    };

    struct Lane {  // sessions of one range that have rows to compute
        std::uint64_t last_turn;
        std::vector<Session*> ready;  // by the arrival of their first step
    };

    struct Part {  // of a step, in the batch
        Session* session;
        std::size_t first;  // row of the step
        std::size_t count;
    };

    void enter_lane(Session& session);
    void leave_lane(Session& session);
    void begin(Session& session, const BlockStep& step);
    void collect(Lane& lane);
    void take_rows(Session& session, std::size_t count);
    Result<void> reserve(Session& session, std::size_t first, std::size_t count);
    void forward(inference::BlockRange range);
    void copy_part(const Part& part, std::size_t batch_row, bool to_batch);
    void finish_step(Session& session);
    void fail_steps(Session& session, const Error& error);

    const LoadedBlocks& blocks_;
    inference::KvPool pool_;
    inference::Workspace workspace_;
    std::map<SessionId, Session> sessions_;
    std::map<inference::BlockRange, Lane> lanes_;  // none is empty between batches
    std::uint64_t turn_ = 0;
    std::uint64_t batches_ = 0;
    std::uint64_t rows_computed_ = 0;
    std::vector<FinishedStep> finished_;

    std::size_t stride_;  // of hidden_
    std::vector<float> hidden_;
    std::vector<inference::Row> rows_;
    std::vector<Part> parts_;
    std::vector<std::pair<Session*, Error>> failed_;  // while a batch is collected
};

}  // namespace kwaai::engine
