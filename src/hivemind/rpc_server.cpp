#include "hivemind/rpc_server.hpp"

#include <utility>

#include "hivemind/rpc_dispatch.hpp"
#include "hivemind/rpc_frames.hpp"

namespace kwaai::hivemind {
namespace {

// Hivemind reads as far ahead; the bytes are our own bound.
constexpr std::size_t kReadyMax = 5;
constexpr std::size_t kReadyBytesMax = std::size_t{1} << 20;

}  // namespace

ServedCall::ServedCall(std::unique_ptr<p2p::Stream> stream, RpcLimits limits)
    : stream_(std::move(stream)), limits_(limits), reader_(limits.stream_message_bytes_max) {}

bool ServedCall::is_full() const {
    return ready_.size() >= kReadyMax || ready_bytes_ >= kReadyBytesMax;
}

io::Task<Result<std::optional<codec::Buffer>>> ServedCall::receive() {
    while (ready_.empty() && !is_ended_ && !failure_) {
        if (is_reading_ahead_)
            co_await changed_.wait();
        else
            co_await fetch();
    }
    if (ready_.empty()) {
        if (is_ended_) co_return std::optional<codec::Buffer>();
        co_return std::unexpected<Error>(*failure_);
    }
    codec::Buffer request = std::move(ready_.front());
    ready_.pop_front();
    ready_bytes_ -= request.size();
    (void)count_memory();  // it is less now
    changed_.notify_all();
    co_return std::optional<codec::Buffer>(std::move(request));
}

io::Task<Result<>> ServedCall::send(std::span<const Bytes> parts) {
    return write_message(*stream_, parts, limits_.stream_message_bytes_max);
}

// One step of reading: a frame takes several.
io::Task<void> ServedCall::fetch() {
    const MutableBytes space = reader_.space();
    if (!count_memory()) {
        failure_ = Error{Errc::limit_exceeded, "requests take too much memory"};
        changed_.notify_all();
        co_return;
    }
    Result<std::size_t> count = co_await stream_->read_some(space);
    if (!count) {
        failure_ = std::move(count).error();
    } else if (*count == 0) {
        const bool is_whole = reader_.is_between_frames();
        failure_ = Error{
            Errc::closed,
            is_whole ? "the caller has gone away" : "the caller has gone away inside a message"};
    } else {
        const Result<bool> is_whole = reader_.advance(*count);
        if (!is_whole)
            failure_ = is_whole.error();
        else if (*is_whole)
            take_frame(reader_.take());
    }
    changed_.notify_all();
}

bool ServedCall::count_memory() {
    return place_ == nullptr || place_->hold(reader_.memory() + ready_bytes_);
}

void ServedCall::take_frame(Frame frame) {
    if (frame.kind == FrameKind::error) is_ended_ = true;
    if (is_ended_) return;  // late data is of no use to anybody
    ready_bytes_ += frame.payload.size();
    ready_.push_back(std::move(frame.payload));
}

// Goes on behind the end of requests: the only way to notice that the caller leaves while the
// handler computes, or waits for room to send.
io::Task<void> ServedCall::read_ahead() {
    is_reading_ahead_ = true;
    while (!failure_) {
        if (is_full())
            co_await changed_.wait();
        else
            co_await fetch();
    }
}

struct RpcServer::State {
    State(p2p::Host& its_host, io::Clock& clock, RpcLimits limits)
        : host(its_host), dispatch(clock, limits) {}

    p2p::Host& host;
    RpcDispatch dispatch;
};

RpcServer::RpcServer(p2p::Host& host, io::Clock& clock, RpcLimits limits)
    : state_(std::make_unique<State>(host, clock, limits)) {}

RpcServer::~RpcServer() = default;

void RpcServer::handle_unary(const std::string& method, UnaryHandler handler) {
    RpcDispatch& dispatch = state_->dispatch;
    dispatch.set_unary(method, std::move(handler));
    state_->host.handle(method, [&dispatch](std::unique_ptr<p2p::Stream> stream) {
        return dispatch.serve_unary(std::move(stream));
    });
}

void RpcServer::handle_streaming(const std::string& method, StreamingHandler handler) {
    RpcDispatch& dispatch = state_->dispatch;
    dispatch.set_streaming(method, std::move(handler));
    state_->host.handle(method, [&dispatch](std::unique_ptr<p2p::Stream> stream) {
        return dispatch.serve_streaming(std::move(stream));
    });
}

std::size_t RpcServer::calls_running() const {
    return state_->dispatch.calls_running();
}

}  // namespace kwaai::hivemind
