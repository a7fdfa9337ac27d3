#include "hivemind/rpc_dispatch.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <utility>

#include "codec/varint.hpp"
#include "hivemind/rpc_frames.hpp"
#include "io/read_exactly.hpp"
#include "io/task_group.hpp"
#include "io/timeout.hpp"

namespace kwaai::hivemind {
namespace {

// The varint in front of an envelope, byte by byte: nothing behind it is read.
io::Task<Result<std::uint64_t>> read_length(p2p::Stream& stream) {
    std::array<std::byte, codec::kVarintBytesMax> bytes{};
    for (std::size_t filled = 0; filled < bytes.size(); ++filled) {
        const MutableBytes next = MutableBytes(bytes).subspan(filled, 1);
        KWAAI_CO_CHECKED(co_await io::read_exactly(stream, next));
        KWAAI_CO_TRY(const std::optional<codec::Varint> length,
                     codec::read_varint(Bytes(bytes).first(filled + 1)));
        if (length) co_return length->value;
    }
    co_return fail(Errc::malformed, "the length of a request is no varint");
}

// A request's envelope. Memory grows with what arrives.
io::Task<Result<codec::Buffer>> read_envelope(p2p::Stream& stream,
                                              CallPlace& place,
                                              std::size_t bytes_max) {
    constexpr std::size_t kStepBytes = std::size_t{64} << 10;
    KWAAI_CO_TRY(const std::uint64_t length, co_await read_length(stream));
    if (length > bytes_max) co_return fail(Errc::limit_exceeded, "a request over the limit");
    codec::Buffer message;
    while (message.size() < length) {
        const std::size_t begin = message.size();
        const std::size_t step = std::min<std::size_t>(kStepBytes, length - begin);
        if (!place.hold(begin + step))
            co_return fail(Errc::limit_exceeded, "requests take too much memory");
        message.resize(begin + step);
        const MutableBytes part = std::span(message).subspan(begin);
        KWAAI_CO_CHECKED(co_await io::read_exactly(stream, part));
    }
    co_return message;
}

// A unary call that runs beside a look at its caller.
struct UnaryRun {
    p2p::Stream& stream;
    const UnaryHandler& handler;
    codec::Buffer request;
    std::optional<Result<codec::Buffer>> response;
};

io::Task<void> run_unary(io::TaskGroup& group, UnaryRun& run) {
    Result<codec::Buffer> response =
        co_await run.handler(run.stream.remote_peer(), std::move(run.request));
    run.response.emplace(std::move(response));
    group.cancel();
}

// Whatever the caller does before it has its answer, it means: never mind.
io::Task<void> watch_caller(io::TaskGroup& group, p2p::Stream& stream) {
    std::byte byte{};
    const MutableBytes into(&byte, 1);
    (void)co_await stream.read_some(into);
    group.cancel();
}

io::Task<void> race_unary(io::TaskGroup& group, UnaryRun& run) {
    group.spawn(watch_caller, std::ref(group), std::ref(run.stream));
    group.spawn(run_unary, std::ref(group), std::ref(run));
    co_return;
}

io::Task<Result<std::size_t>> wait_for_caller(p2p::Stream& stream) {
    std::byte byte{};
    const MutableBytes into(&byte, 1);
    Result<std::size_t> count = co_await stream.read_some(into);
    co_return count;
}

// Hivemind's daemon ends a call that it does not answer with a FIN.
io::Task<void> end_stream(p2p::Stream& stream) {
    (void)co_await stream.shutdown_write();  // the caller may be gone
    stream.close();
}

io::Task<Result<>> discard_rest(p2p::Stream& stream) {
    std::array<std::byte, 4096> scratch;
    for (;;) {
        const Result<std::size_t> count = co_await stream.read_some(scratch);
        if (!count || *count == 0) co_return Result<>();
    }
}

struct StreamingRun {
    const StreamingHandler& handler;
    ServedCall& call;
    std::optional<Result<>> outcome;
};

io::Task<void> run_streaming(io::TaskGroup& group, StreamingRun& run) {
    Result<> outcome = co_await run.handler(run.call);
    run.outcome.emplace(std::move(outcome));
    group.cancel();
}

p2p::ResetCode reset_code(const std::optional<Error>& failure) {
    if (!failure) return p2p::ResetCode::none;
    if (failure->code == Errc::malformed) return p2p::ResetCode::protocol_violation;
    if (failure->code == Errc::limit_exceeded) return p2p::ResetCode::resource_limit;
    return p2p::ResetCode::none;
}

}  // namespace

CallPlace::CallPlace(RpcDispatch& dispatch, const p2p::PeerId& peer)
    : dispatch_(dispatch), peer_(peer) {
    RpcDispatch::PeerLoad& load = dispatch_.peers_[peer_];
    is_taken_ = dispatch_.running_ < dispatch_.limits_.calls_max &&
                load.calls < dispatch_.limits_.calls_per_peer_max;
    ++dispatch_.running_;
    ++load.calls;
}

CallPlace::~CallPlace() {
    (void)hold(0);
    --dispatch_.running_;
    const auto load = dispatch_.peers_.find(peer_);
    if (--load->second.calls == 0) dispatch_.peers_.erase(load);
}

bool CallPlace::hold(std::size_t bytes) {
    RpcDispatch::PeerLoad& load = dispatch_.peers_[peer_];
    const std::size_t total = dispatch_.bytes_ - bytes_ + bytes;
    const std::size_t of_peer = load.bytes - bytes_ + bytes;
    if (bytes > bytes_ && (total > dispatch_.limits_.request_bytes_total_max ||
                           of_peer > dispatch_.limits_.request_bytes_per_peer_max))
        return false;
    dispatch_.bytes_ = total;
    load.bytes = of_peer;
    bytes_ = bytes;
    return true;
}

void RpcDispatch::set_unary(const std::string& method, UnaryHandler handler) {
    unary_[method] = std::make_shared<const UnaryHandler>(std::move(handler));
}

void RpcDispatch::set_streaming(const std::string& method, StreamingHandler handler) {
    streaming_[method] = std::make_shared<const StreamingHandler>(std::move(handler));
}

io::Task<void> RpcDispatch::serve_unary(std::unique_ptr<p2p::Stream> stream) {
    CallPlace place(*this, stream->remote_peer());
    if (!place.is_taken()) {
        stream->reset(p2p::ResetCode::resource_limit);
        co_return;
    }
    auto reading = read_envelope(*stream, place, limits_.unary_bytes_max);
    Result<codec::Buffer> envelope =
        co_await io::with_timeout(clock_, limits_.request_timeout, std::move(reading));
    const Result<UnaryRequest> request =
        envelope ? decode_unary_request(*envelope) : forward_error(envelope);
    if (!request) {
        co_await end_stream(*stream);
        co_return;
    }
    const auto method = unary_.find(request->method);
    if (method == unary_.end()) {  // as stock peers: silence until the caller gives up
        auto waiting = wait_for_caller(*stream);
        (void)co_await io::with_timeout(clock_, limits_.request_timeout, std::move(waiting));
        co_await end_stream(*stream);
        co_return;
    }
    const std::shared_ptr<const UnaryHandler> handler = method->second;
    const CallId id = request->id;
    UnaryRun run{.stream = *stream,
                 .handler = *handler,
                 .request = codec::to_buffer(request->data),
                 .response = std::nullopt};
    *envelope = codec::Buffer();  // `request` looked into it
    (void)place.hold(0);
    co_await io::with_group(race_unary, std::ref(run));
    if (run.response) {
        auto answering = answer(*stream, id, std::move(*run.response));
        (void)co_await io::with_timeout(clock_, limits_.request_timeout, std::move(answering));
    }
    co_await end_stream(*stream);
}

io::Task<Result<>> RpcDispatch::answer(p2p::Stream& stream,
                                       CallId id,
                                       Result<codec::Buffer> response) {
    UnaryReply reply{.id = id, .is_error = !response, .data = {}};
    if (response) reply.data = *response;
    std::string text;
    if (response && envelope_size(reply) > limits_.unary_bytes_max)
        text = "the response of " + std::to_string(response->size()) +
               " bytes is over the limit of " + std::to_string(limits_.unary_bytes_max);
    if (!response) text = std::move(response.error().context);
    if (!response || !text.empty()) {
        text = clean_text(text);
        reply.is_error = true;
        reply.data = as_bytes(text);
    }
    const codec::Buffer head = encode_head(reply);
    const std::array<Bytes, 2> parts = {head, reply.data};
    const std::span<const Bytes> message(parts);
    Result<> written = co_await stream.write(message);
    co_return written;
}

io::Task<void> RpcDispatch::serve_streaming(std::unique_ptr<p2p::Stream> stream) {
    CallPlace place(*this, stream->remote_peer());
    const auto method = streaming_.find(stream->protocol());
    if (!place.is_taken() || method == streaming_.end()) {
        stream->reset(p2p::ResetCode::resource_limit);
        co_return;
    }
    static constexpr auto read_ahead = [](io::TaskGroup& group,
                                          ServedCall& call) -> io::Task<void> {
        co_await call.read_ahead();
        group.cancel();
    };
    static constexpr auto race = [](io::TaskGroup& group, StreamingRun& run) -> io::Task<void> {
        group.spawn(read_ahead, std::ref(group), std::ref(run.call));
        group.spawn(run_streaming, std::ref(group), std::ref(run));
        co_return;
    };
    const std::shared_ptr<const StreamingHandler> handler = method->second;
    ServedCall call(std::move(stream), limits_);
    call.place_ = &place;
    StreamingRun run{.handler = *handler, .call = call, .outcome = std::nullopt};
    co_await io::with_group(race, std::ref(run));
    if (!run.outcome) {
        call.stream_->reset(reset_code(call.failure_));
        co_return;
    }
    co_await finish_streaming(call, std::move(*run.outcome));
}

io::Task<void> RpcDispatch::finish_streaming(ServedCall& call, Result<> outcome) {
    p2p::Stream& stream = *call.stream_;
    if (!outcome) {
        // Never an empty error frame: callers would not know what to make of it.
        std::string text = clean_text(outcome.error().context);
        if (text.empty()) text = "the call failed";
        const codec::Buffer frame = encode_error_frame(text);
        const Bytes bytes = frame;
        auto writing = stream.write(bytes);
        (void)co_await io::with_timeout(clock_, limits_.request_timeout, std::move(writing));
    }
    (void)co_await stream.shutdown_write();
    if (!call.is_ended_ && !call.failure_) {
        // Closing with requests unread would reset the stream, and its reader might lose responses.
        auto discarding = discard_rest(stream);
        (void)co_await io::with_timeout(clock_, limits_.request_timeout, std::move(discarding));
    }
    stream.close();
}

}  // namespace kwaai::hivemind
