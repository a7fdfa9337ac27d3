#include "node/client_node.hpp"

#include <optional>
#include <stop_token>
#include <utility>

#include "base/check.hpp"
#include "engine/model_ends.hpp"
#include "io/event.hpp"
#include "io/offload.hpp"
#include "io/task_group.hpp"
#include "io/tcp.hpp"
#include "node/directories.hpp"
#include "node/identity.hpp"
#include "node/membership.hpp"
#include "node/swarm_names.hpp"
#include "node/traversal.hpp"
#include "p2p/discovery/discovery.hpp"
#include "p2p/host.hpp"
#include "p2p/kad/dht.hpp"
#include "petals/model_digest.hpp"
#include "petals/swarm_model.hpp"

namespace kwaai::node {
namespace {

constexpr std::size_t kServersMax = 64;  // asked for at a time
// Ends up to this size take a few milliseconds a token, no more than handing them to another
// thread and back may take on a busy machine: the loop's own thread computes them.
constexpr std::size_t kInlineEndsBytes = 64 << 20;

}  // namespace

Result<hivemind::WireType> parse_rows(std::string_view text) {
    if (text == "f32") return hivemind::WireType::float32;
    if (text == "f16") return hivemind::WireType::float16;
    if (text == "bf16") return hivemind::WireType::bfloat16;
    return fail(Errc::invalid_argument,
                "rows travel as f32, f16 or bf16, not \"" + std::string(text) + "\"");
}

// In the order in which each needs those before it.
struct ClientNode::Parts {
    Parts(io::Loop& the_loop, const Identity& identity, ClientNodeOptions the_options)
        : loop(the_loop),
          options(std::move(the_options)),
          network(loop),
          host(network,
               loop.clock(),
               {.identity = identity.key(),
                .agent = "kwaai/" + options.version,
                .limits = {},
                .random = {},
                .web_client = options.web_client}),
          dht(host, loop.clock(), {.protocol = options.kad_protocol, .seed = seconds_since_1970()}),
          membership(loop,
                     host,
                     dht,
                     {.bootstrap = options.bootstrap,
                      .finds_neighbours = options.finds_neighbours,
                      .file = options.network_file,
                      .shares_file = true}),
          discovery(host, loop.clock(), dht, {.unix_seconds = seconds_since_1970}),
          traversal(host, loop.clock(), nullptr, dialling_traversal()) {}

    static io::Task<void> attend(io::TaskGroup& group,
                                 Parts& parts,
                                 std::function<void()> on_ready,
                                 Result<>& ended);
    static io::Task<void> serve(io::TaskGroup& group, Parts& parts, std::function<void()> on_ready);
    io::Task<Result<>> begin();
    io::Task<std::vector<petals::PeerAddress>> find_servers();
    [[nodiscard]] petals::SwarmOptions swarm_options(const petals::ModelDigest& digest);
    [[nodiscard]] petals::SwarmModelOptions model_options() const;

    io::Loop& loop;
    ClientNodeOptions options;
    io::TcpNetwork network;
    p2p::Host host;
    p2p::kad::Dht dht;
    Membership membership;
    p2p::Discovery discovery;
    p2p::relay::NatTraversal traversal;
    std::unique_ptr<engine::ModelEnds> ends;
    std::optional<petals::Swarm> swarm;
    std::optional<petals::SwarmModel> model;
    std::stop_source stopping;
    io::Event stopped;
    io::InlineWork at_once;
    io::WorkerThreads work{1};
};

io::Task<std::vector<petals::PeerAddress>> ClientNode::Parts::find_servers() {
    std::string name = inference_name(prefix_of(options.prefix, ends->model_name()));
    const std::vector<p2p::FoundPeer> found = co_await discovery.find(std::move(name), kServersMax);
    std::vector<petals::PeerAddress> servers;
    for (const p2p::FoundPeer& peer : found)
        servers.push_back({.address = peer.address, .blocks = {}});
    co_return servers;
}

petals::SwarmOptions ClientNode::Parts::swarm_options(const petals::ModelDigest& digest) {
    std::function<io::Task<std::vector<petals::PeerAddress>>()> find;
    if (options.finds_servers)
        find = [this] {
            return find_servers();
        };
    return {.peers = options.peers,
            .find = std::move(find),
            .prefix = options.prefix,
            .block_count = ends->config().block_count,
            .digest = digest,
            .arithmetic_id = ends->stats().arithmetic_id,
            .servers_min = options.servers_min};
}

petals::SwarmModelOptions ClientNode::Parts::model_options() const {
    petals::SwarmModelOptions chosen;
    chosen.limits.span.rows = options.rows;
    chosen.on_step = options.events.on_step;
    chosen.on_session_event = [on_note =
                                   options.events.on_note](const petals::SessionEvent& event) {
        if (on_note) on_note(event.text);
    };
    return chosen;
}

io::Task<Result<>> ClientNode::Parts::begin() {
    const auto load_ends = [this] {
        return engine::ModelEnds::load(options.model_path,
                                       {.context = options.context,
                                        .pool = options.pool,
                                        .threads = options.threads,
                                        .on_progress = options.on_progress});
    };
    KWAAI_CO_TRY(ends, co_await io::offload(work, load_ends));
    const auto take_digest = [this] {
        return petals::read_model_digest(
            options.model_path, cache_directory() + "/digests", stopping.get_token());
    };
    KWAAI_CO_TRY(const petals::ModelDigest digest, co_await io::offload(work, take_digest));
    if (options.finds_servers) {
        KWAAI_CO_CHECKED(co_await membership.joined());
    }
    swarm.emplace(host, loop.clock(), swarm_options(digest), options.events.on_note);
    KWAAI_CO_CHECKED(co_await swarm->connect());
    io::WorkQueue* queue = &work;
    if (ends->weight_bytes() <= kInlineEndsBytes) queue = &at_once;
    model.emplace(loop, loop.clock(), host, *queue, *swarm, *ends, model_options());
    co_return Result<>();
}

io::Task<void> ClientNode::Parts::serve(io::TaskGroup& group,
                                        Parts& parts,
                                        std::function<void()> on_ready) {
    group.spawn(&petals::Swarm::run, std::ref(*parts.swarm));
    group.spawn(&petals::SwarmModel::run, std::ref(*parts.model));
    if (on_ready) on_ready();
    while (!parts.stopping.stop_requested())
        co_await parts.stopped.wait();
    group.cancel();
}

// The host goes last: what is still to be said to servers goes over it.
io::Task<void> ClientNode::Parts::attend(io::TaskGroup& group,
                                         Parts& parts,
                                         std::function<void()> on_ready,
                                         Result<>& ended) {
    group.spawn(&p2p::Host::run, std::ref(parts.host));
    group.spawn(&p2p::kad::Dht::run, std::ref(parts.dht));
    group.spawn(&p2p::relay::NatTraversal::run, std::ref(parts.traversal));
    if (parts.options.finds_servers)
        group.spawn(&Membership::run, std::ref(parts.membership), parts.options.events.on_note);
    ended = co_await parts.begin();
    if (ended) co_await io::with_group(&Parts::serve, std::ref(parts), std::move(on_ready));
    parts.host.close();
    group.cancel();
}

Result<std::unique_ptr<ClientNode>> ClientNode::make(io::Loop& loop, ClientNodeOptions options) {
    KWAAI_TRY(const Identity identity, Identity::ephemeral());
    auto parts = std::make_unique<Parts>(loop, identity, std::move(options));
    if (parts->options.finds_servers) {
        KWAAI_CHECKED(parts->membership.open());
    }
    return std::unique_ptr<ClientNode>(new ClientNode(std::move(parts)));
}

ClientNode::ClientNode(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

ClientNode::~ClientNode() = default;

io::Task<Result<>> ClientNode::run(std::function<void()> on_ready) {
    Result<> ended;
    co_await io::with_group(
        &Parts::attend, std::ref(*parts_), std::move(on_ready), std::ref(ended));
    co_return ended;
}

void ClientNode::stop() {
    parts_->stopping.request_stop();
    parts_->stopped.notify_all();
}

engine::TextModel& ClientNode::model() {
    KWAAI_CHECK(parts_->model.has_value(), "the client is ready");
    return *parts_->model;
}

}  // namespace kwaai::node
