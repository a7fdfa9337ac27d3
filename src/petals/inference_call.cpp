#include "petals/inference_call.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/utf8.hpp"
#include "io/timeout.hpp"
#include "petals/backend_step.hpp"

namespace kwaai::petals {
namespace {

std::string describe(const ServerSession& session) {
    return "blocks " + std::to_string(session.part().begin) + ":" +
           std::to_string(session.part().end) + ", " + std::to_string(session.batch()) +
           (session.batch() == 1 ? " sequence" : " sequences") + " of up to " +
           std::to_string(session.max_length()) + " tokens";
}

}  // namespace

InferenceCall::~InferenceCall() {
    if (session_id_) service_.session_ids_.erase(*session_id_);
    if (!is_open_) return;
    std::string text = is_over_ ? "after " : "cut off after ";
    text += std::to_string(steps_) + (steps_ == 1 ? " step" : " steps");
    if (!outcome_) text += ": " + outcome_.error().context;
    service_.tell(ServerEvent::Kind::session_ended, call_.caller(), std::move(text));
}

io::Task<Result<>> InferenceCall::run() {
    Result<> outcome = co_await answer();
    outcome_ = outcome;
    is_over_ = true;
    co_return outcome;
}

// Nothing where none came in time.
io::Task<Result<std::optional<InferenceCall::Request>>> InferenceCall::next() {
    io::Task<Result<std::optional<codec::Buffer>>> receiving = call_.receive();
    Result<std::optional<codec::Buffer>> bytes = co_await io::with_timeout(
        service_.clock_, service_.options_.limits.step_timeout, std::move(receiving));
    if (!bytes && bytes.error().code == Errc::timed_out) co_return std::optional<Request>();
    if (!bytes) co_return forward_error(bytes);
    // Petals' words: a session ends with an empty request, and only then may the requests end.
    if (!*bytes)
        co_return fail(Errc::invalid_argument, "async generator raised StopAsyncIteration");
    Request request;
    KWAAI_CO_TRY(request.message, decode_message(**bytes));
    KWAAI_CO_TRY(request.metadata, decode_step(request.message.metadata));
    co_return std::optional(std::move(request));
}

Result<> InferenceCall::claim(const std::optional<std::string>& session_id) {
    if (!session_id) return {};
    if (!service_.session_ids_.insert(*session_id).second)
        return fail(Errc::invalid_argument,
                    "session id " + replace_invalid_utf8(*session_id) + " is not unique");
    session_id_ = session_id;
    return {};
}

io::Task<Result<>> InferenceCall::answer() {
    const p2p::PeerId& caller = call_.caller();
    Result<std::optional<Request>> request = co_await next();
    if (!request) co_return forward_error(request);
    if (!*request) co_return Result<>();
    auto session = ServerSession::open((*request)->message, (*request)->metadata, service_.served_);
    Result<> admitted;
    if (session) {
        admitted = claim((*request)->metadata.session_id);
    } else {
        admitted = forward_error(session);
    }
    if (!admitted) {
        service_.tell(ServerEvent::Kind::refused, caller, admitted.error().context);
        co_return admitted;
    }
    Result<> served = co_await serve_steps(*session, std::move(**request));
    co_return served;
}

io::Task<Result<CacheRoom>> InferenceCall::reserve(const ServerSession& session,
                                                   const StepMetadata& metadata) {
    CacheWish wish{.batch = session.batch(), .max_length = session.max_length(), .stages = {}};
    // Prompts are added between blocks, so that each is a stage of its own then.
    if (session.has_prompts()) {
        for (std::uint32_t block = session.part().begin; block < session.part().end; ++block)
            wish.stages.push_back({block, block + 1});
    } else {
        wish.stages.push_back(session.part());
    }
    const double seconds_max =
        std::chrono::duration<double>(service_.options_.limits.alloc_timeout_max).count();
    const std::chrono::duration<double> patience(
        std::min(metadata.alloc_timeout.value_or(0.0), seconds_max));
    const auto ticks = std::chrono::duration_cast<io::Duration>(patience);
    Result<CacheRoom> room = co_await service_.cache_.reserve(std::move(wish), ticks);
    co_return room;
}

// The room in the cache is free again when this has ended.
io::Task<Result<>> InferenceCall::serve_steps(ServerSession& session, Request request) {
    Result<CacheRoom> room = co_await reserve(session, request.metadata);
    if (!room) {
        service_.tell(ServerEvent::Kind::refused, call_.caller(), room.error().context);
        co_return forward_error(room);
    }
    is_open_ = true;
    service_.tell(ServerEvent::Kind::session_opened, call_.caller(), describe(session));
    while (true) {
        if (request.message.tensors.empty()) co_return Result<>();
        KWAAI_CO_TRY(std::optional<PlannedStep> step,
                     session.plan(request.message, request.metadata));
        request = Request();
        if (step) {
            Result<> answered = co_await take_step(session, *room, std::move(*step));
            if (!answered) co_return answered;
            ++steps_;
        }
        Result<std::optional<Request>> following = co_await next();
        if (!following) co_return forward_error(following);
        if (!*following) co_return Result<>();
        request = std::move(**following);
    }
}

io::Task<Result<>> InferenceCall::take_step(const ServerSession& session,
                                            const CacheRoom& room,
                                            PlannedStep step) {
    const std::uint32_t token_count = step.token_count;
    Result<std::vector<float>> rows = co_await compute(session, room, std::move(step));
    if (!rows) co_return forward_error(rows);
    Result<> sent = co_await reply(session, token_count, std::move(*rows));
    co_return sent;
}

io::Task<Result<std::vector<float>>> InferenceCall::compute(const ServerSession& session,
                                                            const CacheRoom& room,
                                                            PlannedStep step) {
    std::vector<float> rows = std::move(step.rows);
    for (std::uint32_t stage = 0; stage < room.stages().size(); ++stage) {
        add_prompts(step.prompts, stage, step.token_count, session.hidden(), rows);
        engine::BlockStep part{.session = room.stages()[stage],
                               .start_position = step.start,
                               .token_count = step.token_count,
                               .rows = std::move(rows),
                               .hypo_ids = step.hypo_ids};
        Result<std::vector<float>> computed =
            co_await compute_step(service_.loop_, service_.backend_, std::move(part));
        if (!computed) co_return computed;
        rows = std::move(*computed);
    }
    co_return rows;
}

io::Task<Result<>> InferenceCall::reply(const ServerSession& session,
                                        std::uint32_t token_count,
                                        std::vector<float> rows) {
    const hivemind::WireTensor tensor = hivemind::make_tensor(
        {session.batch(), token_count, session.hidden()}, rows, service_.options_.rows);
    const hivemind::TensorFrame frame = frame_response(tensor);
    const std::array<Bytes, 3> parts{Bytes(frame.head), Bytes(tensor.buffer), Bytes(frame.tail)};
    io::Task<Result<>> sending = call_.send(parts);
    Result<> sent = co_await io::with_timeout(
        service_.clock_, service_.options_.limits.step_timeout, std::move(sending));
    co_return sent;
}

}  // namespace kwaai::petals
