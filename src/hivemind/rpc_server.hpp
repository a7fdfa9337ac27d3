// Answering calls of Hivemind and Petals peers.
#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "hivemind/rpc_limits.hpp"
#include "hivemind/rpc_wire.hpp"
#include "io/event.hpp"
#include "io/task.hpp"
#include "p2p/host.hpp"

namespace kwaai::hivemind {

/// Answers one request; an error's context is what the caller reads (stock peers send Python's
/// repr there; we send our sentence).
using UnaryHandler =
    std::function<io::Task<Result<codec::Buffer>>(p2p::PeerId caller, codec::Buffer request)>;

class CallPlace;

/// The callee's end of a streaming call.
class ServedCall {
public:
    ServedCall(std::unique_ptr<p2p::Stream> stream, RpcLimits limits);

    [[nodiscard]] const p2p::PeerId& caller() const { return stream_->remote_peer(); }

    /// The next request; nothing at the caller's end of requests (an error frame). `Errc::closed`
    /// where the caller went away, `malformed`, `limit_exceeded`.
    io::Task<Result<std::optional<codec::Buffer>>> receive();
    /// One response. The parts are sent behind each other as one payload, without a copy. Waits as
    /// long as the caller takes to read it.
    io::Task<Result<>> send(std::span<const Bytes> parts);

private:
    friend class RpcDispatch;

    [[nodiscard]] bool is_full() const;
    [[nodiscard]] bool count_memory();
    void take_frame(Frame frame);
    io::Task<void> fetch();
    io::Task<void> read_ahead();

    std::unique_ptr<p2p::Stream> stream_;
    RpcLimits limits_;
    FrameReader reader_;
    std::deque<codec::Buffer> ready_;  // requests that were read ahead
    std::size_t ready_bytes_ = 0;
    bool is_ended_ = false;         // no more requests
    std::optional<Error> failure_;  // why nothing more can be read
    bool is_reading_ahead_ = false;
    CallPlace* place_ = nullptr;  // counts the memory that requests take; tests may go without
    io::Event changed_;
};

/// Serves one call; where it fails the caller gets an error frame with the context, then the end.
/// Cancelled when its caller goes away, at the latest at its next suspension.
using StreamingHandler = std::function<io::Task<Result<>>(ServedCall& call)>;

/// Registers methods on a host. Outlives the host's run(). A unary handler is cancelled when its
/// caller closes or resets the stream, or sends anything more.
class RpcServer {
public:
    RpcServer(p2p::Host& host, io::Clock& clock, RpcLimits limits);
    ~RpcServer();

    void handle_unary(const std::string& method, UnaryHandler handler);
    void handle_streaming(const std::string& method, StreamingHandler handler);

    [[nodiscard]] std::size_t calls_running() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::hivemind
