// For the tests of this room: a server of blocks on virtual time, and callers in memory.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hivemind/rpc_client.hpp"
#include "hivemind/rpc_dispatch.hpp"
#include "io/task_group.hpp"
#include "p2p/fake_stream_test.hpp"
#include "petals/block_service.hpp"
#include "petals/fake_backend_test.hpp"
#include "petals/metadata.hpp"
#include "petals/wire.hpp"
#include "testing/memory_stream.hpp"
#include "testing/simulation.hpp"

namespace kwaai::petals {

/// Peer `number`; made once, since keys take long.
inline p2p::PeerId make_peer(unsigned char number) {
    static std::map<unsigned char, p2p::PeerId> peers;
    auto found = peers.find(number);
    if (found == peers.end()) {
        std::array<std::byte, 32> seed{};
        seed[0] = std::byte{number};
        const auto key = crypto::PrivateKey::ed25519_from_seed(seed);
        found = peers.emplace(number, p2p::PeerId::of(key.public_key())).first;
    }
    return found->second;
}

/// Serves the blocks of a backend as "m.0", "m.1", ... The backend lives in the loop's life.
template <class Backend>
class ServerWorld {
public:
    explicit ServerWorld(std::unique_ptr<Backend> its_backend, ServerOptions options)
        : backend(std::move(its_backend)),
          service(simulation.loop(),
                  simulation.clock(),
                  *backend,
                  std::move(options),
                  [this](const ServerEvent& event) { events.push_back(event); }),
          dispatch_(simulation.clock(), hivemind::RpcLimits()) {
        dispatch_.set_unary(kInfoMethod, [this](p2p::PeerId caller, codec::Buffer request) {
            return service.info(std::move(caller), std::move(request));
        });
        dispatch_.set_streaming(kInferenceMethod,
                                [this](hivemind::ServedCall& call) { return service.infer(call); });
    }

    /// Runs `body(world)`, a coroutine, then ends what is still served.
    template <class Body>
    void run(Body body) {
        simulation.run(io::with_group(&ServerWorld::run_body<Body>, std::ref(*this), body));
    }

    /// A stream to the server, whose other end is served.
    std::unique_ptr<p2p::Stream> connect(const char* method, unsigned char peer = 1) {
        testing::StreamPair pair = testing::make_stream_pair({.seed = 0, .capacity = 1 << 20});
        const p2p::PeerId caller = make_peer(peer);
        auto served = std::make_unique<p2p::FakeStream>(std::move(pair.server), caller, method);
        if (std::string_view(method) == kInferenceMethod) {
            group_->spawn(serve_streaming, std::ref(*this), std::move(served));
        } else {
            group_->spawn(serve_unary, std::ref(*this), std::move(served));
        }
        return std::make_unique<p2p::FakeStream>(std::move(pair.client), make_peer(0), method);
    }

    hivemind::CallStream call(unsigned char peer = 1) {
        return hivemind::CallStream(connect(kInferenceMethod, peer), hivemind::RpcLimits());
    }

    io::Task<Result<ServerInfo>> info(std::string uid) {
        Result<codec::Buffer> answer = co_await hivemind::call_unary_on(
            connect(kInfoMethod), encode_uid(uid), hivemind::RpcLimits());
        if (!answer) co_return forward_error(answer);
        KWAAI_CO_TRY(const codec::Buffer map, decode_info(*answer));
        co_return decode_server_info(map);
    }

    testing::Simulation simulation;  // dies last
    std::unique_ptr<Backend> backend;
    std::vector<ServerEvent> events;
    BlockService service;

private:
    template <class Body>
    static io::Task<void> run_body(io::TaskGroup& group, ServerWorld& world, Body body) {
        world.group_ = &group;
        co_await body(world);
        group.cancel();
    }

    static io::Task<void> serve_streaming(ServerWorld& world, std::unique_ptr<p2p::Stream> stream) {
        return world.dispatch_.serve_streaming(std::move(stream));
    }

    static io::Task<void> serve_unary(ServerWorld& world, std::unique_ptr<p2p::Stream> stream) {
        return world.dispatch_.serve_unary(std::move(stream));
    }

    hivemind::RpcDispatch dispatch_;
    io::TaskGroup* group_ = nullptr;
};

using FakeWorld = ServerWorld<FakeBackend>;

/// What a client puts into a request, beyond rows.
struct AskedStep {
    std::uint32_t batch = 1;
    std::uint32_t tokens = 1;
    std::string uid = "m.2 m.3 m.4 m.5";
    codec::MsgMap metadata;
    std::vector<hivemind::WireTensor> more_tensors;

    AskedStep&& with(const char* key, codec::MsgValue value) && {
        metadata.emplace_back(codec::MsgValue(std::string(key)), std::move(value));
        return std::move(*this);
    }
};

/// Rows of 0.5, hidden size 4.
inline codec::Buffer encode_request(AskedStep step) {
    ExpertMessage message;
    message.uid = std::move(step.uid);
    const std::vector<float> rows(std::size_t{step.batch} * step.tokens * 4, 0.5F);
    message.tensors.push_back(
        hivemind::make_tensor({step.batch, step.tokens, 4}, rows, hivemind::WireType::float32));
    for (hivemind::WireTensor& tensor : step.more_tensors)
        message.tensors.push_back(std::move(tensor));
    message.metadata = codec::encode_msgpack(std::move(step.metadata));
    return encode_message(message);
}

inline AskedStep opening(std::uint32_t max_length = 16) {
    return AskedStep().with("max_length", max_length);
}

/// Sends one request and gives the first answer's rows, or the error.
inline io::Task<Result<std::vector<float>>> ask(hivemind::CallStream& call, AskedStep step) {
    const codec::Buffer request = encode_request(std::move(step));
    const Bytes bytes(request);
    KWAAI_CO_CHECKED(co_await call.send(bytes));
    KWAAI_CO_TRY(const std::optional<codec::Buffer> answer, co_await call.receive());
    if (!answer) co_return fail(Errc::closed, "the end");
    KWAAI_CO_TRY(const ExpertMessage message, decode_message(*answer));
    if (message.tensors.size() != 1) co_return fail(Errc::malformed, "not one tensor");
    co_return hivemind::float_values(message.tensors.front());
}

}  // namespace kwaai::petals
