// A swarm on a simulated network: servers of stories260K's blocks, and a client that writes through
// them.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/random.hpp"
#include "engine/engine.hpp"
#include "engine/inline_block_backend.hpp"
#include "engine/loading.hpp"
#include "engine/model_ends.hpp"
#include "hivemind/rpc_server.hpp"
#include "io/task_group.hpp"
#include "kernels/isa.hpp"
#include "p2p/host.hpp"
#include "petals/block_server.hpp"
#include "petals/swarm_model.hpp"
#include "testing/sim_network.hpp"
#include "testing/simulation.hpp"

namespace kwaai::sim {

inline crypto::PrivateKey key_of(std::uint64_t number) {
    std::array<std::byte, 32> seed{};
    for (std::size_t i = 0; i < 8; ++i)
        seed[i] = static_cast<std::byte>(number >> (8 * i));
    return crypto::PrivateKey::ed25519_from_seed(seed);
}

inline std::function<void(MutableBytes)> random_of(std::uint64_t seed) {
    auto counter = std::make_shared<CounterRandom>(seed);
    return [counter](MutableBytes into) {
        for (std::byte& byte : into)
            byte = static_cast<std::byte>(counter->next());
    };
}

/// A text of exactly `tokens` tokens.
inline engine::Request greedy_request(const engine::TextModel& model, std::uint32_t tokens) {
    engine::Request request;
    request.prompt = model.tokenizer().encode("Once upon a time", {.add_bos = true});
    request.sampling.temperature = 0;
    request.max_tokens = tokens;
    request.ignore_end = true;
    return request;
}

/// What all worlds of a test share: the weights.
struct SharedModel {
    explicit SharedModel(std::string model_path) : path(std::move(model_path)) {
        auto loaded = engine::ModelEnds::load(path, {.threads = 1});
        REQUIRE(loaded.has_value());
        ends = std::move(*loaded);
    }

    std::shared_ptr<const engine::LoadedBlocks> blocks(inference::BlockRange range) {
        for (const auto& one : loaded_blocks)
            if (one->span.range().begin == range.begin && one->span.range().end == range.end)
                return one;
        SerialExecutor executor;
        auto loaded = engine::load_blocks(path, range, executor);
        REQUIRE(loaded.has_value());
        loaded_blocks.push_back(std::move(*loaded));
        return loaded_blocks.back();
    }

    std::string path;
    std::unique_ptr<engine::ModelEnds> ends;
    std::vector<std::shared_ptr<const engine::LoadedBlocks>> loaded_blocks;
};

/// One server: a host at 10.0.0.N that serves a range of blocks.
class SimServer {
public:
    SimServer(testing::Simulation& simulation,
              io::Network& network,
              const std::string& ip,
              std::uint64_t number,
              std::shared_ptr<const engine::LoadedBlocks> blocks)
        : backend_(std::move(blocks), std::uint64_t{8} << 20),
          host_(network,
                simulation.clock(),
                {.identity = key_of(number), .random = random_of(number)}),
          rpc_(host_, simulation.clock(), {}),
          server_(rpc_, simulation.loop(), simulation.clock(), backend_, {.prefix = "tiny"}, {}) {
        const auto listening =
            host_.listen(p2p::Multiaddr::parse("/ip4/" + ip + "/tcp/4001").value());
        REQUIRE(listening.has_value());
        server_.set_digest({});
    }

    [[nodiscard]] p2p::Host& host() { return host_; }

    [[nodiscard]] engine::BlockBackend& backend() { return backend_; }

    [[nodiscard]] petals::BlockServer& server() { return server_; }

    [[nodiscard]] hivemind::RpcServer& rpc() { return rpc_; }

private:
    engine::InlineBlockBackend backend_;
    p2p::Host host_;
    hivemind::RpcServer rpc_;
    petals::BlockServer server_;
};

struct SwarmOutcome {
    std::vector<inference::TokenId> tokens;
    engine::Event last;
};

/// Writes a text to its end; `on_token(count)` is called after each token.
inline io::Task<SwarmOutcome> write_through(petals::SwarmModel& model,
                                            engine::Request request,
                                            std::function<void(std::size_t)> on_token) {
    SwarmOutcome outcome;
    io::Event changed;
    bool is_over = false;
    const auto on_event = [&](const engine::Event& event) {
        outcome.tokens.insert(outcome.tokens.end(), event.tokens.begin(), event.tokens.end());
        if (event.finish) {
            outcome.last = event;
            is_over = true;
            changed.notify_all();
        } else if (on_token) {
            on_token(outcome.tokens.size());
        }
    };
    const auto id = model.submit(std::move(request), on_event);
    REQUIRE(id.has_value());
    while (!is_over)
        co_await changed.wait();
    co_return outcome;
}

/// A client at 10.0.1.1 and its servers at 10.0.0.1, 10.0.0.2, …
class SwarmWorld {
public:
    SwarmWorld(SharedModel& model,
               std::uint64_t seed,
               const std::vector<inference::BlockRange>& ranges,
               petals::SwarmModelOptions options = {},
               bool is_found = false)
        : network_(simulation_.clock(), {.seed = seed}),
          client_(network_.host("10.0.1.1"),
                  simulation_.clock(),
                  {.identity = key_of(seed * 1000 + 999), .random = random_of(seed)}) {
        petals::SwarmOptions swarm;
        swarm.block_count = model.ends->config().block_count;
        swarm.digest = petals::ModelDigest{};
        swarm.arithmetic_id = kernels::kArithmeticId;
        for (std::size_t i = 0; i < ranges.size(); ++i) {
            servers_.push_back(std::make_unique<SimServer>(simulation_,
                                                           network_.host(ip(i)),
                                                           ip(i),
                                                           seed * 1000 + i,
                                                           model.blocks(ranges[i])));
            const petals::PeerAddress address{.address = servers_[i]->host().addresses().front()};
            if (!is_found)
                swarm.peers.push_back(address);
            else if (i == 0)
                findable.push_back(address);
        }
        if (is_found)
            swarm.find = [this]() -> io::Task<std::vector<petals::PeerAddress>> {
                co_return findable;
            };
        swarm_ = std::make_unique<petals::Swarm>(
            client_, simulation_.clock(), std::move(swarm), [this](const std::string& note) {
                notes.push_back(note);
            });
        model_ = std::make_unique<petals::SwarmModel>(simulation_.loop(),
                                                      simulation_.clock(),
                                                      client_,
                                                      work_,
                                                      *swarm_,
                                                      *model.ends,
                                                      std::move(options));
    }

    static std::string ip(std::size_t index) { return "10.0.0." + std::to_string(index + 1); }

    static constexpr const char* kClientIp = "10.0.1.1";

    [[nodiscard]] testing::SimNetwork& network() { return network_; }

    [[nodiscard]] io::Clock& clock() { return simulation_.clock(); }

    [[nodiscard]] petals::SwarmModel& model() { return *model_; }

    [[nodiscard]] petals::Swarm& swarm() { return *swarm_; }

    [[nodiscard]] p2p::Host& client() { return client_; }

    [[nodiscard]] SimServer& server(std::size_t index) { return *servers_[index]; }

    [[nodiscard]] std::size_t size() const { return servers_.size(); }

    using Outcome = SwarmOutcome;

    /// As write_through().
    io::Task<Outcome> write(engine::Request request, std::function<void(std::size_t)> on_token) {
        return write_through(*model_, std::move(request), std::move(on_token));
    }

    /// Runs `fn(world)`, a coroutine, once the client has found its servers, and ends everything.
    template <class Fn>
    void run(Fn fn) {
        simulation_.run(io::with_group(&SwarmWorld::run_body<Fn>, std::ref(*this), fn));
    }

    /// Runs a task that looks after the hosts itself.
    void run_alone(io::Task<void> task) { simulation_.run(std::move(task)); }

    /// What the client says after asking its servers.
    Result<> find_servers() {
        Result<> found;
        simulation_.run(io::with_group(&SwarmWorld::find_body, std::ref(*this), std::ref(found)));
        return found;
    }

    std::vector<std::string> notes;
    std::vector<petals::PeerAddress> findable;  // where servers are found: at first the first one

private:
    static io::Task<void> find_body(io::TaskGroup& group, SwarmWorld& world, Result<>& found) {
        world.run_hosts(group);
        found = co_await world.swarm_->connect();
        group.cancel();
    }

    void run_hosts(io::TaskGroup& group) {
        for (const auto& server : servers_)
            group.spawn(&p2p::Host::run, std::ref(server->host()));
        group.spawn(&p2p::Host::run, std::ref(client_));
    }

    template <class Fn>
    static io::Task<void> run_body(io::TaskGroup& group, SwarmWorld& world, Fn fn) {
        world.run_hosts(group);
        const Result<> found = co_await world.swarm_->connect();
        if (!found) FAIL(found.error().context);
        group.spawn(&petals::Swarm::run, std::ref(*world.swarm_));
        group.spawn(&petals::SwarmModel::run, std::ref(*world.model_));
        co_await fn(world);
        group.cancel();
    }

    testing::Simulation simulation_;
    testing::SimNetwork network_;
    std::vector<std::unique_ptr<SimServer>> servers_;
    p2p::Host client_;
    io::InlineWork work_;
    std::unique_ptr<petals::Swarm> swarm_;
    std::unique_ptr<petals::SwarmModel> model_;
};

}  // namespace kwaai::sim
