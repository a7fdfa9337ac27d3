#include "node/block_node.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <stop_token>
#include <utility>

#include "base/check.hpp"
#include "engine/block_engine.hpp"
#include "engine/block_speed.hpp"
#include "hivemind/rpc_server.hpp"
#include "io/interfaces.hpp"
#include "io/offload.hpp"
#include "io/tcp.hpp"
#include "node/directories.hpp"
#include "node/membership.hpp"
#include "node/swarm_names.hpp"
#include "p2p/discovery/discovery.hpp"
#include "p2p/host.hpp"
#include "p2p/kad/dht.hpp"
#include "p2p/nat/address_manager.hpp"
#include "p2p/nat/address_parts.hpp"
#include "p2p/nat/autonat.hpp"
#include "p2p/nat/gateway.hpp"
#include "p2p/nat/port_mapper.hpp"
#include "petals/block_server.hpp"
#include "petals/model_digest.hpp"
#include "petals/wire.hpp"

namespace kwaai::node {
namespace {

io::Task<Result<codec::Buffer>> tell_loading(p2p::PeerId /*caller*/, codec::Buffer /*request*/) {
    co_return fail(Errc::unavailable, "the blocks are being loaded; ask again soon");
}

Result<> check_range(const BlockNodeOptions& options, std::uint32_t block_count) {
    if (!options.range || options.range->end <= block_count) return {};
    return fail(Errc::invalid_argument,
                options.model_path + " has blocks 0:" + std::to_string(block_count) + ", not " +
                    std::to_string(options.range->begin) + ":" +
                    std::to_string(options.range->end));
}

std::string to_sentence(const petals::ServerEvent& event) {
    constexpr std::size_t kShortId = 6;
    const std::string peer =
        event.peer.substr(event.peer.size() - std::min(event.peer.size(), kShortId));
    switch (event.kind) {
        case petals::ServerEvent::Kind::session_opened:
            return peer + " opened a session: " + event.text;
        case petals::ServerEvent::Kind::session_ended:
            return peer + " ended its session: " + event.text;
        case petals::ServerEvent::Kind::refused: return peer + " was refused: " + event.text;
    }
    return event.text;
}

}  // namespace

// In the order in which each needs those before it.
struct BlockNode::Parts {
    Parts(io::Loop& the_loop,
          Identity the_identity,
          const Identity& dialler_identity,
          BlockNodeOptions the_options)
        : loop(the_loop),
          identity(std::move(the_identity)),
          options(std::move(the_options)),
          network(loop),
          host(network,
               loop.clock(),
               {.identity = identity.key(),
                .agent = "kwaai/" + options.version,
                .limits = {},
                .record_sequence = seconds_since_1970(),
                .random = {},
                .web_server = options.web.server,
                .web_client = options.web.client}),
          addresses(host, loop.clock(), {.is_relayed_only = options.relaying.is_relayed_only}),
          autonat(network,
                  loop.clock(),
                  host,
                  addresses,
                  autonat_options(dialler_identity, "kwaai/" + options.version)),
          rpc(host, loop.clock(), hivemind::RpcLimits{}),
          dht(host, loop.clock(), dht_options()),
          membership(loop,
                     host,
                     dht,
                     {.bootstrap = options.bootstrap,
                      .finds_neighbours = options.finds_neighbours,
                      .file = identity.network_path()}),
          discovery(host, loop.clock(), dht, {.unix_seconds = seconds_since_1970}),
          traversal(host, loop.clock(), &addresses, traversal_options()) {}

    p2p::kad::DhtOptions dht_options();
    p2p::relay::NatTraversalOptions traversal_options();
    static io::Task<void> attend(io::TaskGroup& group,
                                 Parts& parts,
                                 std::function<void(const std::string&)> on_note);
    io::Task<void> run_host(io::TaskGroup& group);
    [[nodiscard]] Result<> offer();
    void map_ports();

    io::Loop& loop;
    Identity identity;
    BlockNodeOptions options;
    inference::BlockRange range;
    io::TcpNetwork network;
    p2p::Host host;
    p2p::AddressManager addresses;
    p2p::Autonat autonat;
    hivemind::RpcServer rpc;
    p2p::kad::Dht dht;
    Membership membership;
    p2p::Discovery discovery;
    std::function<void(const std::string&)> note;  // of run(), while it runs; may be empty
    p2p::relay::NatTraversal traversal;
    std::unique_ptr<io::WorkerThreads> routers;  // its end waits for the removal of mappings
    std::optional<p2p::PortMapper> mapper;
    std::unique_ptr<engine::BlockEngine> engine;
    double rows_per_second = 0;  // of it, measured when it was loaded; 0: not known
    std::unique_ptr<petals::BlockServer> server;
    std::stop_source closing;
    io::WorkerThreads loading{1};
};

p2p::kad::DhtOptions BlockNode::Parts::dht_options() {
    p2p::kad::DhtOptions chosen;
    chosen.protocol = options.kad_protocol;
    chosen.mode = member_mode(options.relaying);
    chosen.seed = seconds_since_1970();
    chosen.validators = p2p::kad::standard_validators(seconds_since_1970);
    chosen.own_addresses = [this] {
        return addresses.told();
    };
    return chosen;
}

p2p::relay::NatTraversalOptions BlockNode::Parts::traversal_options() {
    options.relaying.on_places = [this](const std::vector<p2p::Multiaddr>& places) {
        if (note) note(places_sentence(places));
    };
    auto chosen = member_traversal(options.relaying, true, host, discovery);
    chosen.on_failure = [this](const Error& error) {
        if (note) note("A relay does not work; it is tried again: " + error.context);
    };
    chosen.on_service = [this](bool /*is_serving*/) {
        if (engine == nullptr) return;
        const Result<> offered = offer();
        static_cast<void>(offered);  // said when the blocks were
    };
    return chosen;
}

io::Task<void> BlockNode::Parts::attend(io::TaskGroup& group,
                                        Parts& parts,
                                        std::function<void(const std::string&)> on_note) {
    group.spawn(&Parts::run_host, std::ref(parts), std::ref(group));
    group.spawn(&p2p::AddressManager::run, std::ref(parts.addresses));
    group.spawn(&p2p::Autonat::run, std::ref(parts.autonat));
    parts.note = on_note;
    group.spawn(&p2p::relay::NatTraversal::run, std::ref(parts.traversal));
    group.spawn(follow_addresses,
                std::ref(parts.addresses),
                std::ref(parts.discovery),
                std::ref(parts.dht),
                member_mode(parts.options.relaying),
                std::ref(parts.loop.clock()));
    if (parts.mapper) group.spawn(&p2p::PortMapper::run, std::ref(*parts.mapper));
    group.spawn(&p2p::kad::Dht::run, std::ref(parts.dht));
    group.spawn(&p2p::Discovery::run, std::ref(parts.discovery));
    group.spawn(&Membership::run, std::ref(parts.membership), std::move(on_note));
    co_return;
}

io::Task<void> BlockNode::Parts::run_host(io::TaskGroup& group) {
    co_await host.run();
    group.cancel();
}

void BlockNode::Parts::map_ports() {
    routers = std::make_unique<io::WorkerThreads>(1);
    std::vector<std::shared_ptr<p2p::Gateway>> gateways{p2p::make_natpmp_gateway(),
                                                        p2p::make_upnp_gateway()};
    mapper.emplace(
        host, loop.clock(), addresses, *routers, std::move(gateways), p2p::PortMapperOptions());
}

Result<> BlockNode::Parts::offer() {
    const engine::BlockBackendStats stats = engine->stats();
    p2p::Capability capability;
    capability.names = {inference_name(options.prefix)};
    if (traversal.service() != nullptr && traversal.service()->is_serving())
        capability.names.emplace_back(p2p::relay::kRelayCapability);
    capability.models = {{.name = options.prefix,
                          .begin = range.begin,
                          .end = range.end,
                          .rows = std::string(to_string(options.rows))}};
    capability.memory_bytes = stats.kv_bytes_max;
    capability.rows_per_second = rows_per_second;
    return discovery.offer(std::move(capability));
}

Result<std::unique_ptr<BlockNode>> BlockNode::listen(io::Loop& loop,
                                                     Identity identity,
                                                     BlockNodeOptions options) {
    KWAAI_TRY(const engine::OpenedModel model, engine::open_model_files(options.model_path));
    KWAAI_CHECKED(check_range(options, model.config.block_count));
    options.prefix = prefix_of(options.prefix, model.file.name);
    KWAAI_TRY(const Identity dialler_identity, Identity::ephemeral());
    auto parts =
        std::make_unique<Parts>(loop, std::move(identity), dialler_identity, std::move(options));
    parts->range =
        parts->options.range.value_or(inference::BlockRange{0, model.config.block_count});
    for (const p2p::Multiaddr& address : parts->options.listen)
        KWAAI_CHECKED(parts->host.listen(address));
    if (parts->options.maps_ports) parts->map_ports();
    KWAAI_CHECKED(parts->membership.open());
    parts->rpc.handle_unary(petals::kInfoMethod, tell_loading);
    return std::unique_ptr<BlockNode>(new BlockNode(std::move(parts)));
}

BlockNode::BlockNode(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

BlockNode::~BlockNode() {
    parts_->closing.request_stop();
}

std::vector<p2p::Multiaddr> BlockNode::addresses() const {
    std::vector<p2p::Multiaddr> all;
    for (const p2p::Multiaddr& address : parts_->host.addresses())
        for (p2p::Multiaddr& at : p2p::at_interfaces(address, io::interface_addresses))
            all.push_back(std::move(at));
    return all;
}

p2p::Multiaddr BlockNode::own_address() const {
    const std::vector<p2p::Multiaddr> all = addresses();
    KWAAI_CHECK(!all.empty(), "a node of blocks listens");
    // Loopback comes first among the addresses of a machine.
    const auto loopback = std::ranges::find_if(all, &p2p::Multiaddr::is_loopback);
    return loopback == all.end() ? all.front() : *loopback;
}

bool BlockNode::is_loopback_only() const {
    // What a name of its certificate leads to is not known; the port itself has an IP address.
    return std::ranges::all_of(parts_->host.addresses(), [](const p2p::Multiaddr& address) {
        return p2p::ip_part(address).empty() || address.is_loopback();
    });
}

inference::BlockRange BlockNode::range() const {
    return parts_->range;
}

io::Task<void> BlockNode::run(std::function<void(const std::string&)> on_note) {
    co_await io::with_group(&Parts::attend, std::ref(*parts_), std::move(on_note));
}

io::Task<Result<>> BlockNode::load(std::function<void()> on_ready,
                                   std::function<void(const std::string&)> on_note) {
    Parts& parts = *parts_;
    const auto load_blocks = [&parts] {
        return engine::BlockEngine::load(parts.options.model_path,
                                         {.range = parts.range,
                                          .pool = parts.options.pool,
                                          .threads = parts.options.threads,
                                          .kv_bytes_max = 0,
                                          .on_progress = parts.options.on_progress});
    };
    KWAAI_CO_TRY(parts.engine, co_await io::offload(parts.loading, load_blocks));
    const auto measure = [&parts] {
        return engine::measure_rows_per_second(*parts.engine);
    };
    const auto speed = co_await io::offload(parts.loading, measure);
    parts.rows_per_second = speed.value_or(0);
    const auto on_event = [on_note](const petals::ServerEvent& event) {
        if (on_note) on_note(to_sentence(event));
    };
    parts.server = std::make_unique<petals::BlockServer>(
        parts.rpc,
        parts.loop,
        parts.loop.clock(),
        *parts.engine,
        petals::ServerOptions{.prefix = parts.options.prefix,
                              .version = parts.options.version,
                              .rows = parts.options.rows,
                              .limits = {}},
        on_event);
    const Result<> offered = parts.offer();
    if (!offered && on_note)
        on_note("nobody will find this node by its model: " + offered.error().context);
    if (on_ready) on_ready();
    const auto take_digest = [&parts] {
        return petals::read_model_digest(
            parts.options.model_path, cache_directory() + "/digests", parts.closing.get_token());
    };
    const auto digest = co_await io::offload(parts.loading, take_digest);
    if (digest)
        parts.server->set_digest(*digest);
    else if (on_note && digest.error().code != Errc::cancelled)
        on_note("no digest of the model, so that our clients refuse it: " + digest.error().context);
    co_return Result<>();
}

void BlockNode::close() {
    parts_->closing.request_stop();
    parts_->note = {};  // that relays are left needs no saying
    parts_->host.close();
}

const engine::BlockBackend& BlockNode::backend() const {
    KWAAI_CHECK(parts_->engine != nullptr, "the blocks are loaded");
    return *parts_->engine;
}

}  // namespace kwaai::node
