#include "petals/block_server.hpp"

#include <utility>

#include "petals/block_service.hpp"
#include "petals/wire.hpp"

namespace kwaai::petals {

struct BlockServer::State {
    BlockService service;
};

BlockServer::BlockServer(hivemind::RpcServer& rpc,
                         io::Loop& loop,
                         io::Clock& clock,
                         engine::BlockBackend& backend,
                         ServerOptions options,
                         std::function<void(const ServerEvent&)> on_event)
    : state_(new State{.service{loop, clock, backend, std::move(options), std::move(on_event)}}) {
    BlockService* service = &state_->service;
    rpc.handle_unary(kInfoMethod, [service](p2p::PeerId caller, codec::Buffer request) {
        return service->info(std::move(caller), std::move(request));
    });
    rpc.handle_streaming(kInferenceMethod,
                         [service](hivemind::ServedCall& call) { return service->infer(call); });
}

BlockServer::~BlockServer() = default;

void BlockServer::set_digest(const ModelDigest& digest) {
    state_->service.set_digest(digest);
}

std::size_t BlockServer::session_count() const {
    return state_->service.session_count();
}

}  // namespace kwaai::petals
