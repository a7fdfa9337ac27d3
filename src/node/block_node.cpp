#include "node/block_node.hpp"

#include <algorithm>
#include <chrono>
#include <stop_token>
#include <utility>

#include "base/check.hpp"
#include "engine/block_engine.hpp"
#include "hivemind/rpc_server.hpp"
#include "io/interfaces.hpp"
#include "io/offload.hpp"
#include "io/tcp.hpp"
#include "node/directories.hpp"
#include "p2p/host.hpp"
#include "petals/block_server.hpp"
#include "petals/model_digest.hpp"
#include "petals/wire.hpp"

namespace kwaai::node {
namespace {

// Names of blocks stand behind one another with spaces between them.
std::string prefix_of(const std::string& wanted, const std::string& model_name) {
    std::string prefix = wanted.empty() ? model_name : wanted;
    std::ranges::replace(prefix, ' ', '-');
    return prefix;
}

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

std::vector<p2p::Multiaddr> at_interfaces(const p2p::Multiaddr& address) {
    if (!address.is_unspecified()) return {address};
    const auto target = address.tcp_target();
    if (!target) return {address};
    const bool is_v4 = target->kind == p2p::AddrCode::ip4;
    std::vector<p2p::Multiaddr> all;
    for (const std::string& host :
         io::interface_addresses(is_v4 ? io::IpFamily::v4 : io::IpFamily::v6)) {
        auto at = p2p::Multiaddr::of({.host = host, .port = target->port}, target->transport);
        if (at) all.push_back(std::move(*at));
    }
    return all;
}

}  // namespace

namespace {

std::uint64_t seconds_since_1970() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(now).count());
}

}  // namespace

// In the order in which each needs those before it.
struct BlockNode::Parts {
    Parts(io::Loop& the_loop, Identity the_identity, BlockNodeOptions the_options)
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
                .random = {}}),
          rpc(host, loop.clock(), hivemind::RpcLimits{}) {}

    io::Loop& loop;
    Identity identity;
    BlockNodeOptions options;
    inference::BlockRange range;
    io::TcpNetwork network;
    p2p::Host host;
    hivemind::RpcServer rpc;
    std::unique_ptr<engine::BlockEngine> engine;
    std::unique_ptr<petals::BlockServer> server;
    std::stop_source closing;
    io::WorkerThreads loading{1};
};

Result<std::unique_ptr<BlockNode>> BlockNode::listen(io::Loop& loop,
                                                     Identity identity,
                                                     BlockNodeOptions options) {
    KWAAI_TRY(const engine::OpenedModel model, engine::open_model_files(options.model_path));
    KWAAI_CHECKED(check_range(options, model.config.block_count));
    options.prefix = prefix_of(options.prefix, model.file.name);
    auto parts = std::make_unique<Parts>(loop, std::move(identity), std::move(options));
    parts->range =
        parts->options.range.value_or(inference::BlockRange{0, model.config.block_count});
    for (const p2p::Multiaddr& address : parts->options.listen)
        KWAAI_CHECKED(parts->host.listen(address));
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
        for (const p2p::Multiaddr& at : at_interfaces(address.without_peer()))
            all.push_back(at.with_peer(parts_->host.id()));
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
    return std::ranges::all_of(parts_->host.addresses(), &p2p::Multiaddr::is_loopback);
}

inference::BlockRange BlockNode::range() const {
    return parts_->range;
}

io::Task<void> BlockNode::run() {
    return parts_->host.run();
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
    parts_->host.close();
}

const engine::BlockBackend& BlockNode::backend() const {
    KWAAI_CHECK(parts_->engine != nullptr, "the blocks are loaded");
    return *parts_->engine;
}

}  // namespace kwaai::node
