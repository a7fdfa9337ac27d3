// What a server of blocks answers, apart from where the calls come from.
#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "engine/block_backend.hpp"
#include "hivemind/rpc_server.hpp"
#include "io/event.hpp"
#include "io/loop.hpp"
#include "io/task.hpp"
#include "p2p/peer_id.hpp"
#include "petals/block_server.hpp"
#include "petals/cache_queue.hpp"
#include "petals/server_session.hpp"

namespace kwaai::petals {

/// Confined to the loop's thread; `loop`, `clock` and `backend` outlive it, and `loop` the backend.
class BlockService {
public:
    BlockService(io::Loop& loop,
                 io::Clock& clock,
                 engine::BlockBackend& backend,
                 ServerOptions options,
                 std::function<void(const ServerEvent&)> on_event);

    void set_digest(const ModelDigest& digest);

    /// rpc_info: ExpertUID to ExpertInfo. A caller who names blocks waits a little for the digest;
    /// one who does not is Petals' monitor, which gives up after 5 s.
    io::Task<Result<codec::Buffer>> info(p2p::PeerId caller, codec::Buffer request);

    /// rpc_inference: serves one session. What it reserved is free when this has ended, in whatever
    /// way.
    io::Task<Result<>> infer(hivemind::ServedCall& call);

    [[nodiscard]] std::size_t session_count() const { return session_count_; }

private:
    friend class InferenceCall;
    class Admission;

    void tell(ServerEvent::Kind kind, const p2p::PeerId& peer, std::string text) const;
    [[nodiscard]] Result<> may_enter(const p2p::PeerId& peer) const;
    [[nodiscard]] ServerInfo describe() const;

    io::Loop& loop_;
    io::Clock& clock_;
    engine::BlockBackend& backend_;
    ServerOptions options_;
    std::function<void(const ServerEvent&)> on_event_;
    ServedBlocks served_;
    CacheQueue cache_;
    std::optional<ModelDigest> digest_;
    io::Event digest_came_;
    std::size_t session_count_ = 0;
    std::map<p2p::PeerId, std::size_t> sessions_of_;
    std::set<std::string> session_ids_;
};

}  // namespace kwaai::petals
