// What sessions of blocks were promised, and how far they are: who may open one, and which steps
// may be queued. Pure.
#pragma once
#include <cstdint>
#include <map>

#include "base/result.hpp"
#include "engine/block_backend.hpp"
#include "inference/model.hpp"

namespace kwaai::engine {

/// What the rows of a session go through.
struct SessionShape {
    std::uint32_t batch = 1;
    inference::BlockRange range;
};

/// Bounds everything that waits: the steps of a session, and rows to twice what its cache holds, so
/// that a step may take back all the others.
class SessionLedger {
public:
    static constexpr std::uint32_t kStepsMax = 256;  // of one session, waiting

    /// @param pages_max of the cache, each kernels::kPagePositions positions of one sequence
    SessionLedger(inference::BlockRange served, std::uint32_t hidden, std::size_t pages_max)
        : served_(served), hidden_(hidden), pages_max_(pages_max) {}

    /// Errors of BlockBackend::open.
    Result<SessionId> open(const SessionOptions& options);

    /// Counts a step as waiting, where it may. Errors of BlockBackend::submit.
    Result<SessionShape> admit(const BlockStep& step);

    /// An admitted step has its answer; false when its session was closed meanwhile.
    bool end_step(SessionId session, std::size_t rows);

    /// Takes back the promise; says whether the session was open and had steps.
    bool close(SessionId session);

    [[nodiscard]] std::uint64_t tokens_max() const;
    [[nodiscard]] std::uint64_t tokens_free() const;

    [[nodiscard]] std::uint64_t pages_max() const { return pages_max_; }

    [[nodiscard]] std::uint64_t pages_free() const { return pages_max_ - pages_promised_; }

    [[nodiscard]] std::uint32_t sessions() const {
        return static_cast<std::uint32_t>(sessions_.size());
    }

    [[nodiscard]] std::uint32_t steps_waiting() const { return steps_waiting_; }

private:
    struct Session {
        SessionShape shape;
        std::uint32_t max_length = 0;
        std::uint64_t pages = 0;
        std::uint32_t length = 0;  // once all its steps have run
        std::uint32_t steps_waiting = 0;
        std::uint64_t rows_waiting = 0;
        bool has_stepped = false;
    };

    [[nodiscard]] Result<void> check_positions(const Session& session, const BlockStep& step) const;
    [[nodiscard]] Result<void> check_shapes(const Session& session, const BlockStep& step) const;
    [[nodiscard]] Result<void> check_queue(const Session& session, std::uint64_t rows) const;

    inference::BlockRange served_;
    std::uint32_t hidden_;
    std::uint64_t pages_max_;
    std::uint64_t pages_promised_ = 0;
    std::uint32_t steps_waiting_ = 0;
    std::uint64_t rows_waiting_ = 0;  // of closed sessions too, until they are answered
    std::map<SessionId, Session> sessions_;
    SessionId next_id_ = 1;
};

}  // namespace kwaai::engine
