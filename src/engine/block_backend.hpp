// Blocks at work for sessions: a handle at block granularity with asynchronous completion, so that
// a GPU fits behind it (design decision 8).
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "inference/model.hpp"
#include "inference/model_config.hpp"

namespace kwaai::engine {

using SessionId = std::uint64_t;

/// What a session will need at most.
struct SessionOptions {
    std::uint32_t batch = 1;       // sequences that go in step
    std::uint32_t max_length = 0;  // positions that each of them may have
    /// The blocks that its steps go through: a part of those served; empty: all of them.
    std::optional<inference::BlockRange> range;
};

/// The next positions of all sequences of a session.
struct BlockStep {
    SessionId session = 0;
    /// Position of the first token. Before the session's length, it takes back what came after.
    std::uint32_t start_position = 0;
    std::uint32_t token_count = 0;  // of each sequence; 0: only what the other fields ask for
    std::vector<float> rows;        // [batch, token_count, hidden]
    /// Empty, or [batch]: sequence i first takes over the past of sequence hypo_ids[i], as a beam
    /// search does.
    std::vector<std::uint32_t> hypo_ids;
};

/// Gets the rows after the blocks, [batch, token_count, hidden] in the memory they came in, or why
/// there are none. Must be quick and not throw; may call the backend.
using StepHandler = std::move_only_function<void(Result<std::vector<float>>)>;

struct BlockBackendStats {
    std::uint64_t weight_bytes = 0;
    std::uint64_t kv_bytes_max = 0;
    std::uint64_t kv_bytes_free = 0;   // not promised to a session
    std::uint64_t kv_tokens_max = 0;   // positions of one sequence through all blocks
    std::uint64_t kv_tokens_free = 0;  // not promised to a session
    std::uint32_t sessions = 0;
    std::uint32_t steps_waiting = 0;  // and under way
    std::uint64_t batches = 0;        // computed so far
    std::uint64_t rows = 0;           // in these batches
    unsigned threads = 0;
    std::string isa;
    std::uint32_t arithmetic_id = 0;  // backends of equal ids give equal bits
};

/// Keys and values of many sessions and the blocks they go through. What a session gets does not
/// depend on who else is served. Implementations: `BlockEngine`, thread-safe, and
/// `InlineBlockBackend`, for simulations.
class BlockBackend {
public:
    BlockBackend() = default;
    BlockBackend(const BlockBackend&) = delete;
    BlockBackend& operator=(const BlockBackend&) = delete;
    virtual ~BlockBackend() = default;

    /// The blocks served.
    [[nodiscard]] virtual inference::BlockRange range() const = 0;
    [[nodiscard]] virtual const inference::ModelConfig& config() const = 0;
    /// The file's name without extension, for people.
    [[nodiscard]] virtual const std::string& model_name() const = 0;
    [[nodiscard]] virtual BlockBackendStats stats() const = 0;

    /// Promises the session room for batch x max_length positions (whole pages of 64 a sequence).
    /// `Errc::limit_exceeded` when so much is not free (says how much is), `invalid_argument` for
    /// an empty batch or a range that is not served.
    virtual Result<SessionId> open(const SessionOptions& options) = 0;

    /// Queues a step; steps of one session run in the order of their submission. `done` is called
    /// once: on the backend's thread, or inside submit() when the step is not even queued.
    /// `Errc::invalid_argument` for shapes that do not match the session and for a start beyond its
    /// length, `limit_exceeded` ("Maximum length exceeded") past max_length, `not_found` for a
    /// session that is not open, `unavailable` when too much waits already, `cancelled` when the
    /// session is closed or the backend destroyed first. Rows that are not finite give rows that
    /// mean nothing, to that session alone.
    virtual void submit(BlockStep step, StepHandler done) = 0;

    /// Frees at once what was promised; steps under way are answered with `Errc::cancelled`.
    /// Unknown ids are ignored.
    virtual void close(SessionId session) = 0;
};

}  // namespace kwaai::engine
