// Answering calls of Hivemind and Petals peers.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "hivemind/rpc_limits.hpp"
#include "io/task.hpp"
#include "p2p/host.hpp"

namespace kwaai::hivemind {

/// Answers one request; an error's context is what the caller reads (stock peers send Python's
/// repr there; we send our sentence).
using UnaryHandler =
    std::function<io::Task<Result<codec::Buffer>>(p2p::PeerId caller, codec::Buffer request)>;

/// The callee's end of a streaming call.
class ServedCall {
public:
    ServedCall(std::unique_ptr<p2p::Stream> stream, RpcLimits limits);

    [[nodiscard]] const p2p::PeerId& caller() const { return stream_->remote_peer(); }

    /// The next request; nothing at the caller's end of requests (an error frame). `Errc::closed`
    /// where the caller went away, `malformed`, `limit_exceeded`.
    io::Task<Result<std::optional<codec::Buffer>>> receive();
    /// One response. The parts are sent behind each other as one payload, without a copy.
    io::Task<Result<>> send(std::span<const Bytes> parts);

private:
    friend class RpcServer;
    std::unique_ptr<p2p::Stream> stream_;
    RpcLimits limits_;
};

/// Serves one call; where it fails the caller gets an error frame with the context, then the end.
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
