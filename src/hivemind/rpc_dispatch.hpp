// Serving calls stream by stream, without a host: the inside of RpcServer.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "hivemind/rpc_limits.hpp"
#include "hivemind/rpc_server.hpp"
#include "io/clock.hpp"
#include "io/task.hpp"
#include "p2p/stream.hpp"

namespace kwaai::hivemind {

/// Knows the methods and how many calls run. Outlives the coroutines it makes; all that a call does
/// happens inside them.
class RpcDispatch {
public:
    RpcDispatch(io::Clock& clock, RpcLimits limits) : clock_(clock), limits_(limits) {}

    void set_unary(const std::string& method, UnaryHandler handler);
    void set_streaming(const std::string& method, StreamingHandler handler);

    /// Serves one call; the stream's protocol is only how it came here: the envelope names the
    /// method.
    io::Task<void> serve_unary(std::unique_ptr<p2p::Stream> stream);
    /// Serves one call of the method that is the stream's protocol.
    io::Task<void> serve_streaming(std::unique_ptr<p2p::Stream> stream);

    [[nodiscard]] std::size_t calls_running() const { return running_; }

private:
    friend class CallPlace;

    struct PeerLoad {
        std::size_t calls = 0;
        std::size_t bytes = 0;
    };

    io::Task<Result<>> answer(p2p::Stream& stream, CallId id, Result<codec::Buffer> response);
    io::Task<void> finish_streaming(ServedCall& call, Result<> outcome);

    io::Clock& clock_;
    RpcLimits limits_;
    std::map<std::string, std::shared_ptr<const UnaryHandler>, std::less<>> unary_;
    std::map<std::string, std::shared_ptr<const StreamingHandler>, std::less<>> streaming_;
    std::size_t running_ = 0;
    std::size_t bytes_ = 0;  // of requests
    std::map<p2p::PeerId, PeerLoad> peers_;
};

/// One of the calls that may run at once, and the memory of its requests, while it lives.
class CallPlace {
public:
    CallPlace(RpcDispatch& dispatch, const p2p::PeerId& peer);
    CallPlace(const CallPlace&) = delete;
    CallPlace& operator=(const CallPlace&) = delete;
    ~CallPlace();

    /// False where the limits of calls leave no room for it.
    [[nodiscard]] bool is_taken() const { return is_taken_; }

    /// The call's requests take `bytes` now. False, and nothing changed, where that is too much.
    [[nodiscard]] bool hold(std::size_t bytes);

private:
    RpcDispatch& dispatch_;
    p2p::PeerId peer_;
    std::size_t bytes_ = 0;
    bool is_taken_ = false;
};

}  // namespace kwaai::hivemind
