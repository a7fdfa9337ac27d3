#include "node/node.hpp"

#include <ctime>
#include <utility>

#include <sys/random.h>

#include "api/openai_routes.hpp"
#include "base/check.hpp"
#include "engine/compute_pool.hpp"
#include "io/event.hpp"
#include "io/offload.hpp"
#include "io/task_group.hpp"
#include "io/tcp.hpp"
#include "node/block_node.hpp"
#include "node/client_node.hpp"
#include "node/directories.hpp"

namespace kwaai::node {
namespace {

std::uint64_t system_random() {
    std::uint64_t bits = 0;
    KWAAI_CHECK(::getentropy(&bits, sizeof(bits)) == 0, "the system has random numbers");
    return bits;
}

/// Texts replay between programs of equal fingerprints: the arithmetic is part of it.
std::string fingerprint(const std::string& version, const engine::TextModel& model) {
    return "kwaai-" + version + "-a" + std::to_string(model.stats().arithmetic_id);
}

api::OpenaiOptions openai_options(const std::string& version, const engine::TextModel& model) {
    return {.fingerprint = fingerprint(version, model),
            .random_seed = system_random(),
            .unix_seconds = [] {
                return static_cast<std::int64_t>(std::time(nullptr));
            }};
}

/// Routes over a model, and the server in front of them.
struct Front {
    Front(io::Loop& loop, engine::TextModel& the_model, const NodeOptions& options)
        : model(the_model),
          routes({.model = model, .loop = loop, .work = tokenizing},
                 openai_options(options.version, model)),
          server(loop.clock(), routes, options.http_limits) {}

    engine::TextModel& model;
    io::WorkerThreads tokenizing{1};
    api::OpenaiRoutes routes;
    http::Server server;
};

}  // namespace

/// In the order in which each needs those before it.
struct Node::Parts {
    Parts(io::Loop& the_loop, NodeOptions the_options)
        : loop(the_loop), options(std::move(the_options)) {}

    Result<> open_ports();
    [[nodiscard]] ClientNodeOptions client_options() const;
    void add_own(ClientNodeOptions& wanted) const;

    static io::Task<void> attend(io::TaskGroup& group, Parts& parts, Result<>& ended);
    static io::Task<void> load_blocks(io::TaskGroup& group, Parts& parts, Result<>& ended);
    static io::Task<void> serve(io::TaskGroup& group, Parts& parts, Result<>& ended);
    static io::Task<void> serve_front(Parts& parts, Result<>& ended);
    io::Task<Result<>> serve_engine();
    io::Task<Result<>> serve_swarm(io::TaskGroup& group, Result<>& ended);
    io::Task<void> wait_for_stop();
    void open_front(engine::TextModel& model);
    void on_blocks();

    io::Loop& loop;
    NodeOptions options;
    NodeEvents events;
    std::shared_ptr<engine::ComputePool> pool;  // of blocks and ends
    std::unique_ptr<io::Listener> listener;     // of HTTP
    io::WorkerThreads loading{1};
    std::unique_ptr<BlockNode> blocks;
    bool are_blocks_loaded = false;
    std::unique_ptr<engine::Engine> engine;
    std::unique_ptr<ClientNode> client;
    std::unique_ptr<Front> front;
    bool is_stopping = false;
    io::Event stopping;
};

Result<> Node::Parts::open_ports() {
    const bool is_client =
        options.http && (options.blocks || !options.peers.empty() || options.finds_servers);
    if (!options.http && !options.blocks)
        return fail(Errc::invalid_argument, "a node serves blocks, HTTP or both");
    if (options.blocks || is_client) {
        KWAAI_TRY(pool, engine::choose_pool(nullptr, options.engine.threads));
    }
    if (options.blocks) {
        BlockNodeOptions wanted{.model_path = options.model_path,
                                .version = options.version,
                                .listen = options.blocks->listen,
                                .bootstrap = options.bootstrap,
                                .kad_protocol = options.kad_protocol,
                                .range = options.blocks->range,
                                .prefix = options.prefix,
                                .rows = options.rows,
                                .pool = pool,
                                .threads = 0,
                                .on_progress = options.engine.on_progress,
                                .maps_ports = options.blocks->maps_ports,
                                .finds_neighbours = options.finds_neighbours,
                                .relaying = options.blocks->relaying,
                                .web = options.web};
        KWAAI_TRY(blocks, BlockNode::listen(loop, options.blocks->identity, std::move(wanted)));
    }
    if (options.http) {
        KWAAI_TRY(listener, io::listen_tcp(loop, *options.http));
    }
    if (is_client) {
        KWAAI_TRY(client, ClientNode::make(loop, client_options()));
    }
    return {};
}

// The node's own blocks, and the network that it is a node of.
void Node::Parts::add_own(ClientNodeOptions& wanted) const {
    wanted.peers.push_back({.address = blocks->own_address(), .blocks = {}});
    wanted.bootstrap.push_back(blocks->own_address());
}

ClientNodeOptions Node::Parts::client_options() const {
    ClientNodeOptions wanted{.model_path = options.model_path,
                             .version = options.version,
                             .peers = options.peers,
                             .finds_servers = options.finds_servers,
                             .bootstrap = options.bootstrap,
                             .kad_protocol = options.kad_protocol,
                             .finds_neighbours = !blocks && options.finds_neighbours,
                             .network_file = {},
                             .prefix = options.prefix,
                             .rows = options.rows,
                             .context = options.engine.context,
                             .pool = pool,
                             .threads = 0,
                             .on_progress = {},
                             .servers_min = 1,
                             .web_client = options.web.client,
                             .events = {}};
    if (blocks) {
        add_own(wanted);
    } else {
        wanted.network_file = client_network_path();
        wanted.on_progress = options.engine.on_progress;
    }
    wanted.events.on_note = [this](const std::string& text) {
        if (events.on_note) events.on_note(text);
    };
    return wanted;
}

void Node::Parts::on_blocks() {
    are_blocks_loaded = true;
    if (events.on_blocks) events.on_blocks();
}

io::Task<void> Node::Parts::load_blocks(io::TaskGroup& group, Parts& parts, Result<>& ended) {
    const auto on_ready = [&parts] {
        parts.on_blocks();
    };
    Result<> loaded = co_await parts.blocks->load(on_ready, parts.events.on_note);
    if (loaded) co_return;
    ended = std::move(loaded);
    group.cancel();
}

void Node::Parts::open_front(engine::TextModel& model) {
    front = std::make_unique<Front>(loop, model, options);
    if (events.on_ready) events.on_ready();
}

io::Task<Result<>> Node::Parts::serve_engine() {
    const auto load = [this] {
        return engine::Engine::load(options.model_path, options.engine);
    };
    KWAAI_CO_TRY(engine, co_await io::offload(loading, load));
    open_front(*engine);
    co_return co_await front->server.serve(*listener);
}

io::Task<void> Node::Parts::serve_front(Parts& parts, Result<>& ended) {
    Result<> served = co_await parts.front->server.serve(*parts.listener);
    if (!served) ended = std::move(served);
    parts.client->stop();
}

io::Task<Result<>> Node::Parts::serve_swarm(io::TaskGroup& group, Result<>& ended) {
    const auto on_ready = [this, &group, &ended] {
        open_front(client->model());
        group.spawn(&Parts::serve_front, std::ref(*this), std::ref(ended));
    };
    co_return co_await client->run(on_ready);
}

io::Task<void> Node::Parts::wait_for_stop() {
    while (!is_stopping)
        co_await stopping.wait();
}

// HTTP first, then the texts under way, then the blocks that they may go through.
io::Task<void> Node::Parts::serve(io::TaskGroup& group, Parts& parts, Result<>& ended) {
    Result<> served;
    if (parts.client)
        served = co_await parts.serve_swarm(group, ended);
    else if (parts.listener)
        served = co_await parts.serve_engine();
    else
        co_await parts.wait_for_stop();
    if (!served && ended) ended = std::move(served);
    if (parts.blocks) parts.blocks->close();
}

io::Task<void> Node::Parts::attend(io::TaskGroup& group, Parts& parts, Result<>& ended) {
    if (parts.blocks) {
        group.spawn(&BlockNode::run, std::ref(*parts.blocks), parts.events.on_note);
        group.spawn(&Parts::load_blocks, std::ref(group), std::ref(parts), std::ref(ended));
    }
    group.spawn(&Parts::serve, std::ref(group), std::ref(parts), std::ref(ended));
    co_return;
}

Result<std::unique_ptr<Node>> Node::start(io::Loop& loop, NodeOptions options) {
    auto parts = std::make_unique<Parts>(loop, std::move(options));
    KWAAI_CHECKED(parts->open_ports());
    return std::unique_ptr<Node>(new Node(std::move(parts)));
}

Node::Node(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Node::~Node() = default;

std::vector<p2p::Multiaddr> Node::addresses() const {
    return parts_->blocks ? parts_->blocks->addresses() : std::vector<p2p::Multiaddr>();
}

bool Node::is_exposed() const {
    return parts_->blocks && !parts_->blocks->is_loopback_only();
}

const engine::BlockBackend* Node::blocks() const {
    return parts_->are_blocks_loaded ? &parts_->blocks->backend() : nullptr;
}

const engine::TextModel* Node::model() const {
    return parts_->front ? &parts_->front->model : nullptr;
}

std::string Node::url() const {
    return parts_->listener ? "http://" + parts_->listener->local_address() : std::string();
}

io::Task<Result<>> Node::run(NodeEvents events) {
    parts_->events = std::move(events);
    Result<> ended;
    co_await io::with_group(&Parts::attend, std::ref(*parts_), std::ref(ended));
    co_return ended;
}

void Node::stop(io::Duration grace) {
    parts_->is_stopping = true;
    parts_->stopping.notify_all();
    if (parts_->front)
        parts_->front->server.stop(grace);
    else if (parts_->client)
        parts_->client->stop();
}

}  // namespace kwaai::node
