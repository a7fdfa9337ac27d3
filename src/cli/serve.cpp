// kwaai serve: blocks of a model for other nodes, and the model behind OpenAI's routes.
#include "cli/serve.hpp"

#include <chrono>
#include <csignal>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/exit_status.hpp"
#include "cli/model_locator.hpp"
#include "cli/p2p.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "io/signals.hpp"
#include "io/task_group.hpp"
#include "node/node.hpp"

namespace kwaai::cli {
namespace {

/// What requests under way may still take after the first Ctrl-C.
constexpr std::chrono::seconds kGrace{5};

io::Task<void> stop_on_signals(io::Signals& signals, node::Node& node) {
    const int first = co_await signals.next();
    static_cast<void>(first);
    const bool has_answers = node.model() != nullptr;
    write_note(has_answers ? "\nStopping; answers under way have 5 seconds. Ctrl-C again ends them "
                             "at once.\n"
                           : "\nStopping.\n");
    node.stop(kGrace);
    const int second = co_await signals.next();
    static_cast<void>(second);
    node.stop({});
}

void introduce_blocks(const node::Node& node) {
    const engine::BlockBackend& blocks = *node.blocks();
    const engine::BlockBackendStats stats = blocks.stats();
    constexpr double kMegabyte = 1e6;
    write_note(fmt::format(
        "Blocks {}:{} of the {} of {} are loaded: {:.0f} MB, and {:.0f} MB for {} tokens of texts "
        "under way; {} threads, {}.\n",
        blocks.range().begin,
        blocks.range().end,
        blocks.config().block_count,
        blocks.model_name(),
        static_cast<double>(stats.weight_bytes) / kMegabyte,
        static_cast<double>(stats.kv_bytes_max) / kMegabyte,
        stats.kv_tokens_max,
        stats.threads,
        stats.isa));
}

void introduce_http(const node::Node& node) {
    const engine::TextModel& model = *node.model();
    const bool can_chat = model.chat_template().has_value();
    write_note(fmt::format("{} ({} positions, {} threads, {}) answers there. Ctrl-C stops. Try:\n",
                           model.model_name(),
                           model.context(),
                           model.stats().threads,
                           model.stats().isa));
    write_note(fmt::format("  curl {}/v1/{} -d '{}'\n",
                           node.url(),
                           can_chat ? "chat/completions" : "completions",
                           can_chat
                               ? R"({"messages":[{"role":"user","content":"Hello"}],"stream":true})"
                               : R"({"prompt":"Once upon a time","max_tokens":64,"stream":true})"));
}

void warn_of_strangers(const node::Node& node, const ServePlan& plan) {
    if (plan.http && !is_loopback(*plan.http))
        write_note(
            "Warning: other machines can reach the HTTP address, and whoever does may use the "
            "model: there are no passwords.\n");
    if (node.is_exposed() || !plan.relaying.relays.empty() || plan.relaying.is_relayed_only)
        write_note(
            "Warning: other machines can reach these blocks, and whoever knows an address may "
            "compute with them.\n");
}

/// A node from its start to its end, with what it says meanwhile.
class Serving {
public:
    Serving(io::Loop& loop, node::Node& node, ProgressLine& progress)
        : loop_(loop), node_(node), progress_(progress) {}

    /// Until a signal, or an error.
    Result<> run(bool has_http) {
        has_http_ = has_http;
        Result<> ended;
        loop_.run(io::with_group(&Serving::attend, std::ref(*this), std::ref(ended)));
        if (written_) return ended;
        return std::unexpected(written_.error());
    }

private:
    static io::Task<void> attend(io::TaskGroup& group, Serving& self, Result<>& ended) {
        node::NodeEvents events;
        events.on_blocks = [&self, &group] {
            self.progress_.end();
            introduce_blocks(self.node_);
            if (!self.has_http_) self.heed_signals(group);
        };
        events.on_ready = [&self, &group] {
            self.progress_.end();
            self.heed_signals(group);
            self.written_ = write_out(self.node_.url() + "\n");
            if (!self.written_) return self.node_.stop({});
            introduce_http(self.node_);
        };
        events.on_note = [](const std::string& text) {
            write_note(printable(text) + "\n");
        };
        ended = co_await self.node_.run(std::move(events));
        group.cancel();
    }

    /// From here on; until now a signal simply ended the program.
    void heed_signals(io::TaskGroup& group) {
        signals_.emplace(loop_);
        group.spawn(stop_on_signals, std::ref(*signals_), std::ref(node_));
    }

    io::Loop& loop_;
    node::Node& node_;
    ProgressLine& progress_;
    bool has_http_ = false;
    std::optional<io::Signals> signals_;
    Result<> written_;
};

/// The error of a start, with what to do about a port that cannot be had.
Error advised(Error error) {
    if (error.code == Errc::unavailable && error.context.starts_with("cannot listen"))
        error.context +=
            "; choose another port with --http HOST:PORT, or --listen for blocks (0 lets the "
            "system choose)";
    return error;
}

Result<node::NodeOptions> node_options(const ServeFlags& flags,
                                       const ServePlan& plan,
                                       ProgressLine& progress) {
    node::NodeOptions options;
    KWAAI_TRY(options.rows, node::parse_rows(flags.swarm.rows));
    KWAAI_TRY(options.model_path, find_model(flags.engine.model));
    options.version = KWAAI_VERSION;
    options.engine = engine_options(flags.engine, progress);
    options.peers = plan.peers;
    options.finds_servers = flags.swarm.finds_servers;
    KWAAI_TRY(options.bootstrap, parse_bootstrap(flags.swarm.bootstrap));
    options.kad_protocol = flags.swarm.kad_protocol;
    options.finds_neighbours = flags.swarm.finds_neighbours;
    options.prefix = flags.swarm.prefix;
    options.http = plan.http;
    KWAAI_TRY(options.web,
              crypto::load_web_tls({.certificate = flags.tls_certificate,
                                    .key = flags.tls_key,
                                    .authorities = flags.swarm.tls_authorities}));
    if (!options.web.warning.empty()) write_note(options.web.warning + "\n");
    if (plan.serves_blocks) {
        KWAAI_TRY(node::Identity identity, choose_identity(flags.identity));
        options.blocks.emplace(
            std::move(identity), plan.listen, plan.range, flags.maps_ports, plan.relaying);
    }
    return options;
}

Result<int> serve(const ServeFlags& flags) {
    // A client that closes its connection must not end the server.
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
    KWAAI_TRY(const ServePlan plan, plan_serving(flags));
    ProgressLine progress("loading");
    KWAAI_TRY(node::NodeOptions options, node_options(flags, plan, progress));
    io::Loop loop;
    auto started = node::Node::start(loop, std::move(options));
    if (!started) return std::unexpected(advised(std::move(started).error()));
    const std::unique_ptr<node::Node> node = std::move(*started);
    for (const p2p::Multiaddr& address : node->addresses())
        KWAAI_CHECKED(write_out(address.to_text() + "\n"));
    warn_of_strangers(*node, plan);
    KWAAI_CHECKED(Serving(loop, *node, progress).run(plan.http.has_value()));
    write_note("Stopped.\n");
    return kOk;
}

void add_relay_flags(CLI::App& verb, ServeFlags& flags) {
    verb.add_option("--relay",
                    flags.relays,
                    "Hold a place at this relay, over which others reach this node: "
                    "/ip4/ADDRESS/tcp/PORT/p2p/ID, as `kwaai p2p relay` prints it (default: at "
                    "relays that it finds, once AutoNAT has seen that nobody can dial it). "
                    "Repeatable")
        ->allow_extra_args(false);
    verb.add_flag("--relay-only",
                  flags.is_relayed_only,
                  "Be reached over relays alone: tell no address of this machine, and make no "
                  "direct connection out of a relayed one");
    verb.add_option("--relay-service",
                    flags.relay_service,
                    "Be a relay for nodes that cannot be dialled: on, off, or auto, which is where "
                    "everybody can dial this one, and for as much as they need to meet directly")
        ->capture_default_str();
}

}  // namespace

Action add_serve(CLI::App& verb) {
    const auto flags = std::make_shared<ServeFlags>();
    add_engine_flags(verb, flags->engine);
    verb.add_option("--blocks", flags->blocks, "Serve blocks A to B - 1 to other nodes: A:B");
    verb.add_option("--listen",
                    flags->listen,
                    "Where other nodes reach the blocks: /ip4/ADDRESS/tcp/PORT; 0.0.0.0 is every "
                    "network, port 0 lets the system choose (default: 127.0.0.1, and every network "
                    "with --relay); with /ws behind "
                    "it, the node tells that it takes WebSockets there, too; "
                    "/ip4/ADDRESS/udp/PORT/quic-v1 for QUIC. Repeatable")
        ->allow_extra_args(false);
    verb.add_option("--identity",
                    flags->identity,
                    "File of the node's key, made where it is missing (default: the user's)");
    verb.add_option("--tls-certificate",
                    flags->tls_certificate,
                    "File in PEM of a web server's certificate and those that lead from it to an "
                    "authority: other nodes, and browsers, reach the blocks at /tls/ws, too");
    verb.add_option("--tls-key", flags->tls_key, "File in PEM of that certificate's key");
    verb.add_flag("--map-port",
                  flags->maps_ports,
                  "Have the router forward the port of the blocks (NAT-PMP or UPnP)");
    verb.add_flag("--mdns",
                  flags->swarm.finds_neighbours,
                  "Find the nodes of the local network, and be found there (multicast DNS)");
    add_relay_flags(verb, *flags);
    add_swarm_flags(verb, flags->swarm);
    verb.add_option("--http",
                    flags->http,
                    "HOST:PORT of OpenAI's routes; port 0 lets the system choose (default: "
                    "127.0.0.1:8080, and no HTTP with --blocks)");
    verb.footer(
        "Routes: POST /v1/chat/completions, POST /v1/completions, GET /v1/models, GET /health.\n"
        "Addresses go to stdout, those of blocks first, a line each; everything else to stderr.\n\n"
        "Examples:\n"
        "  kwaai serve\n"
        "  kwaai serve model.gguf --http [::1]:8081 --threads 4\n"
        "  kwaai serve --blocks 0:15 --listen /ip4/0.0.0.0/tcp/4001\n"
        "  kwaai serve --blocks 15:30 --bootstrap /ip4/192.168.1.7/tcp/4001/p2p/12D3KooW...\n"
        "  kwaai serve --blocks 0:15 --relay /ip4/203.0.113.5/tcp/4001/p2p/12D3KooW...\n"
        "  kwaai serve --blocks 0:30 --listen /ip4/0.0.0.0/tcp/443 --tls-certificate chain.pem "
        "--tls-key key.pem\n"
        "  kwaai serve --peer /ip4/192.168.1.7/tcp/4001/p2p/12D3KooW... --http 127.0.0.1:8080");
    return [flags] {
        const auto status = serve(*flags);
        return status ? *status : report(status.error());
    };
}

}  // namespace kwaai::cli
