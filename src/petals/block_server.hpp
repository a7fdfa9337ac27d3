// Serves blocks of a model to Petals clients and ours.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/block_backend.hpp"
#include "hivemind/rpc_server.hpp"
#include "io/loop.hpp"
#include "petals/server_info.hpp"

namespace kwaai::petals {

struct ServerLimits {
    std::size_t sessions_max = 256;
    std::size_t sessions_per_peer_max = 32;
    std::uint32_t length_max = 8192;         // positions of a sequence
    std::uint32_t batch_max = 64;            // sequences of a session
    std::uint32_t step_tokens_max = 8192;    // batch × tokens of one step
    std::chrono::seconds step_timeout{300};  // until the next step; then the session ends silently
    std::chrono::seconds session_timeout{1800};   // whole life
    std::chrono::seconds alloc_timeout_max{600};  // how long a full cache may be waited for
};

struct ServerOptions {
    std::string prefix;
    std::string version;                                    // of the program
    hivemind::WireType rows = hivemind::WireType::float32;  // of the answers
    ServerLimits limits;
};

struct ServerEvent {
    enum class Kind : std::uint8_t { session_opened, session_ended, refused };
    Kind kind;
    std::string peer;
    std::string text;  // a sentence for people
};

/// Registers rpc_info and rpc_inference. Confined to the loop's thread; the backend answers on
/// threads of its own. Outlives the host's run(); its backend outlives it, and the loop the
/// backend.
class BlockServer {
public:
    /// @param on_event called now and then on the loop's thread; may be empty
    BlockServer(hivemind::RpcServer& rpc,
                io::Loop& loop,
                io::Clock& clock,
                engine::BlockBackend& backend,
                ServerOptions options,
                std::function<void(const ServerEvent&)> on_event);
    ~BlockServer();

    /// From now on rpc_info tells it; those who asked for blocks before wait a little for it.
    void set_digest(const ModelDigest& digest);

    [[nodiscard]] std::size_t session_count() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::petals
