// One rpc_inference call under way.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "hivemind/rpc_server.hpp"
#include "io/task.hpp"
#include "petals/block_service.hpp"
#include "petals/cache_queue.hpp"
#include "petals/server_session.hpp"

namespace kwaai::petals {

/// From the opening request to the end of the session. What it holds, it holds while it lives: a
/// caller who goes away has it destroyed, in the middle of a step as well.
class InferenceCall {
public:
    InferenceCall(BlockService& service, hivemind::ServedCall& call)
        : service_(service), call_(call) {}

    InferenceCall(const InferenceCall&) = delete;
    InferenceCall& operator=(const InferenceCall&) = delete;
    ~InferenceCall();

    /// Serves the call to its end. An error is for the caller to read.
    io::Task<Result<>> run();

    /// Whether run() came to an outcome of its own.
    [[nodiscard]] bool is_over() const { return is_over_; }

private:
    struct Request {
        ExpertMessage message;
        StepMetadata metadata;
    };

    io::Task<Result<std::optional<Request>>> next();
    io::Task<Result<>> answer();
    io::Task<Result<>> serve_steps(ServerSession& session, Request request);
    io::Task<Result<CacheRoom>> reserve(const ServerSession& session, const StepMetadata& metadata);
    io::Task<Result<>> take_step(const ServerSession& session,
                                 const CacheRoom& room,
                                 PlannedStep step);
    io::Task<Result<std::vector<float>>> compute(const ServerSession& session,
                                                 const CacheRoom& room,
                                                 PlannedStep step);
    io::Task<Result<>> reply(const ServerSession& session,
                             std::uint32_t token_count,
                             std::vector<float> rows);
    [[nodiscard]] Result<> claim(const std::optional<std::string>& session_id);

    BlockService& service_;
    hivemind::ServedCall& call_;
    Result<> outcome_;
    bool is_over_ = false;
    bool is_open_ = false;                   // has room in the cache, or had
    std::optional<std::string> session_id_;  // claimed
    std::uint64_t steps_ = 0;
};

}  // namespace kwaai::petals
