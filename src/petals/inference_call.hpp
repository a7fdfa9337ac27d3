// One rpc_inference call under way.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "hivemind/rpc_server.hpp"
#include "io/event.hpp"
#include "io/task_group.hpp"
#include "petals/block_service.hpp"
#include "petals/cache_queue.hpp"
#include "petals/server_session.hpp"

namespace kwaai::petals {

/// Reads ahead by one request while a step is computed, so that a caller who goes away is noticed
/// at once, not when its answer is ready.
class InferenceCall {
public:
    InferenceCall(BlockService& service, hivemind::ServedCall& call)
        : service_(service), call_(call) {}

    InferenceCall(const InferenceCall&) = delete;
    InferenceCall& operator=(const InferenceCall&) = delete;
    ~InferenceCall();

    /// Serves the call to its end. An error is for the caller to read, except `Errc::closed`: it
    /// has gone.
    io::Task<Result<>> run();

    /// Whether run() came to an outcome of its own.
    [[nodiscard]] bool is_over() const { return is_over_; }

private:
    struct Request {
        ExpertMessage message;
        StepMetadata metadata;
    };

    static io::Task<void> run_both(io::TaskGroup& group, InferenceCall& self);
    static io::Task<void> read_all(InferenceCall& self);
    static io::Task<void> answer_all(InferenceCall& self);

    void finish(Result<> outcome);
    io::Task<Result<std::optional<codec::Buffer>>> take();
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
    io::Task<void> await_goodbye();
    [[nodiscard]] Result<> claim(const std::optional<std::string>& session_id);

    BlockService& service_;
    hivemind::ServedCall& call_;
    io::TaskGroup* group_ = nullptr;  // while both run
    std::optional<Result<std::optional<codec::Buffer>>> waiting_;
    io::Event changed_;  // waiting_
    Result<> outcome_;
    bool is_over_ = false;
    bool is_open_ = false;                   // has room in the cache, or had
    std::optional<std::string> session_id_;  // claimed
    std::uint64_t steps_ = 0;
};

}  // namespace kwaai::petals
