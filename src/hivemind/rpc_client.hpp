// Calling methods of a Hivemind or Petals peer.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "hivemind/rpc_limits.hpp"
#include "hivemind/rpc_wire.hpp"
#include "io/task.hpp"
#include "p2p/host.hpp"

namespace kwaai::hivemind {

/// One unary call on a stream of its own: sends `request` (a serialized protobuf), gives the
/// serialized response. Errors of Host::open; `Errc::unavailable` with the peer's text where its
/// handler failed ("peer …abc123 answers: KeyError('expert.0')"), `closed` where it ended the
/// stream without an answer, `malformed`, `limit_exceeded` for messages over the limit. Cancelling
/// it resets the stream. No time limit beyond the opening's: wrap it in with_timeout.
io::Task<Result<codec::Buffer>> call_unary(
    p2p::Host& host, p2p::PeerId peer, std::string method, codec::Buffer request, RpcLimits limits);

/// The same over a stream of its own that speaks the method.
io::Task<Result<codec::Buffer>> call_unary_on(std::unique_ptr<p2p::Stream> stream,
                                              codec::Buffer request,
                                              RpcLimits limits);

/// A streaming call: requests go out, responses come in, independently. Destroying it before
/// the end was received cancels the call (resets the stream).
class CallStream {
public:
    explicit CallStream(std::unique_ptr<p2p::Stream> stream, RpcLimits limits);

    /// One request message. The parts are sent behind each other as one payload, without a copy.
    io::Task<Result<>> send(std::span<const Bytes> parts);
    io::Task<Result<>> send(Bytes message);
    /// No more requests (the empty error frame). The stream stays open for the responses.
    io::Task<Result<>> end_requests();
    /// The next response; nothing where the peer ended the call in order. `Errc::unavailable` with
    /// the peer's text where its handler failed, `closed` where the stream broke off inside a
    /// message or was reset, `malformed`, `limit_exceeded`. Cancelling it loses nothing.
    io::Task<Result<std::optional<codec::Buffer>>> receive();
    /// Ends the call at once (a reset where it has not ended).
    void close();

    [[nodiscard]] p2p::Stream& stream() { return *stream_; }

private:
    void close_in_order();

    std::unique_ptr<p2p::Stream> stream_;
    RpcLimits limits_;
    FrameReader reader_;
    bool is_ended_ = false;
};

io::Task<Result<std::unique_ptr<CallStream>>> open_call(p2p::Host& host,
                                                        p2p::PeerId peer,
                                                        std::string method,
                                                        RpcLimits limits);

}  // namespace kwaai::hivemind
