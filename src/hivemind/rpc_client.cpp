#include "hivemind/rpc_client.hpp"

#include <array>
#include <span>
#include <string>
#include <utility>

#include "hivemind/rpc_frames.hpp"
#include "p2p/length_prefixed.hpp"

namespace kwaai::hivemind {
namespace {

// Also through a relay that limits what it passes on: who calls can call again.
constexpr p2p::OpenOptions kOverAny{.allows_relayed = true};

std::string name_of(const p2p::Stream& stream) {
    return "peer …" + stream.remote_peer().short_text();
}

std::unexpected<Error> answered_error(const p2p::Stream& stream, std::string_view text) {
    const std::string_view said = text.empty() ? std::string_view("an error without a text") : text;
    return fail(Errc::unavailable, name_of(stream) + " answers: " + std::string(said));
}

Result<codec::Buffer> open_reply(const p2p::Stream& stream, Bytes envelope) {
    Result<UnaryReply> reply = decode_unary_reply(envelope);
    if (!reply) return forward_error(reply, name_of(stream) + " answers");
    if (reply->is_error) return answered_error(stream, clean_text(as_text(reply->data)));
    return codec::to_buffer(reply->data);
}

}  // namespace

io::Task<Result<codec::Buffer>> call_unary_on(std::unique_ptr<p2p::Stream> stream,
                                              codec::Buffer request,
                                              RpcLimits limits) {
    const UnaryRequest call{.id = make_call_id(),
                            .peer = stream->remote_peer().bytes(),
                            .method = stream->protocol(),
                            .data = request};
    const std::size_t size = envelope_size(call);
    if (size > limits.unary_bytes_max)
        co_return fail(Errc::limit_exceeded,
                       "a request of " + std::to_string(size) + " bytes, at most " +
                           std::to_string(limits.unary_bytes_max) + " are sent");
    const codec::Buffer head = encode_head(call);
    const std::array<Bytes, 2> parts = {head, request};
    const std::span<const Bytes> message(parts);
    Result<> written = co_await stream->write(message);
    if (!written) co_return forward_error(written, "calling " + stream->protocol());

    // The write side stays open: the callee takes its end for a cancellation.
    Result<std::optional<codec::Buffer>> envelope =
        co_await p2p::read_length_prefixed(*stream, limits.unary_bytes_max);
    if (!envelope) co_return forward_error(envelope, "the answer to " + stream->protocol());
    if (!*envelope)
        co_return fail(Errc::closed,
                       name_of(*stream) + " ended " + stream->protocol() + " without an answer");
    Result<codec::Buffer> response = open_reply(*stream, **envelope);
    stream->close();
    co_return response;
}

io::Task<Result<codec::Buffer>> call_unary(p2p::Host& host,
                                           p2p::PeerId peer,
                                           std::string method,
                                           codec::Buffer request,
                                           RpcLimits limits) {
    Result<std::unique_ptr<p2p::Stream>> stream =
        co_await host.open(std::move(peer), std::move(method), kOverAny);
    if (!stream) co_return forward_error(stream);
    Result<codec::Buffer> response =
        co_await call_unary_on(std::move(*stream), std::move(request), limits);
    co_return response;
}

CallStream::CallStream(std::unique_ptr<p2p::Stream> stream, RpcLimits limits)
    : stream_(std::move(stream)), limits_(limits), reader_(limits.stream_message_bytes_max) {}

io::Task<Result<>> CallStream::send(std::span<const Bytes> parts) {
    return write_message(*stream_, parts, limits_.stream_message_bytes_max);
}

io::Task<Result<>> CallStream::send(Bytes message) {
    const std::span<const Bytes> parts(&message, 1);
    Result<> sent = co_await send(parts);
    co_return sent;
}

io::Task<Result<>> CallStream::end_requests() {
    const codec::Buffer frame = encode_error_frame({});
    const Bytes bytes = frame;
    Result<> sent = co_await stream_->write(bytes);
    co_return sent;
}

io::Task<Result<std::optional<codec::Buffer>>> CallStream::receive() {
    if (is_ended_) co_return std::optional<codec::Buffer>();
    Result<std::optional<Frame>> frame = co_await read_frame(*stream_, reader_);
    if (!frame) co_return forward_error(frame, "the answer to " + stream_->protocol());
    if (!*frame) {
        close_in_order();
        co_return std::optional<codec::Buffer>();
    }
    if ((*frame)->kind == FrameKind::message)
        co_return std::optional<codec::Buffer>(std::move((*frame)->payload));
    close_in_order();
    KWAAI_CO_TRY(const std::string text, decode_error_text((*frame)->payload));
    co_return answered_error(*stream_, text);
}

void CallStream::close() {
    if (!is_ended_) stream_->reset(p2p::ResetCode::none);
    is_ended_ = true;
}

// Both directions are done: the callee has ended its own, and wants nothing more.
void CallStream::close_in_order() {
    is_ended_ = true;
    stream_->close();
}

io::Task<Result<std::unique_ptr<CallStream>>> open_call(p2p::Host& host,
                                                        p2p::PeerId peer,
                                                        std::string method,
                                                        RpcLimits limits) {
    Result<std::unique_ptr<p2p::Stream>> stream =
        co_await host.open(std::move(peer), std::move(method), kOverAny);
    if (!stream) co_return forward_error(stream);
    co_return std::make_unique<CallStream>(std::move(*stream), limits);
}

}  // namespace kwaai::hivemind
