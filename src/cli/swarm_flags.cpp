#include "cli/swarm_flags.hpp"

#include <charconv>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/model_locator.hpp"
#include "cli/terminal.hpp"
#include "crypto/web_tls_files.hpp"
#include "engine/engine.hpp"
#include "node/directories.hpp"
#include "p2p/dnsaddr.hpp"

namespace kwaai::cli {
namespace {

std::optional<std::uint32_t> parse_number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

Result<std::vector<p2p::Multiaddr>> parse_nodes(const std::vector<std::string>& texts,
                                                const std::string& flag) {
    std::vector<p2p::Multiaddr> addresses;
    for (const std::string& text : texts) {
        auto address = p2p::Multiaddr::parse(text);
        if (!address) return fail(Errc::invalid_argument, flag + " " + address.error().context);
        if (!address->peer() && !p2p::is_dnsaddr(*address))
            return fail(Errc::invalid_argument,
                        flag + " " + printable(text) +
                            ": the address must end with /p2p/ID, the node's identity");
        addresses.push_back(std::move(*address));
    }
    return addresses;
}

/// A note of a client, which other machines have a say in. It begins a line of its own where an
/// answer is being written on the same terminal.
void show_note(const RouteReport& report, const std::string& text) {
    const bool is_amid_answer = report.steps() > 0 && stdout_meets_stderr();
    write_note((is_amid_answer ? "\n" : "") + faint(printable(text)) + "\n");
}

}  // namespace

void add_swarm_flags(CLI::App& verb, SwarmFlags& flags) {
    verb.add_option("--peer",
                    flags.peers,
                    "Compute blocks on this node: /ip4/ADDRESS/tcp/PORT/p2p/ID, as `kwaai serve` "
                    "prints it; with =A:B for a stock Petals server's blocks. Repeatable")
        ->allow_extra_args(false);
    verb.add_flag("--swarm",
                  flags.finds_servers,
                  "Find the nodes that serve the model's blocks, and follow who comes and goes");
    verb.add_option("--bootstrap",
                    flags.bootstrap,
                    "A node of the network to join: any address that `kwaai serve` printed; those "
                    "of earlier runs are remembered. Repeatable")
        ->allow_extra_args(false);
    add_kad_protocol_flag(verb, flags.kad_protocol);
    verb.add_option(
        "--prefix", flags.prefix, "Name of the blocks, where it is not the model's name");
    verb.add_option("--rows", flags.rows, "What travels between nodes: f32, f16 or bf16")
        ->capture_default_str();
    add_authorities_flag(verb, flags.tls_authorities);
}

void add_authorities_flag(CLI::App& verb, std::string& file) {
    verb.add_option("--tls-authorities",
                    file,
                    "File in PEM of who is believed besides the system's authorities when a node "
                    "is dialled at /tls/ws");
}

void add_kad_protocol_flag(CLI::App& verb, std::string& name) {
    verb.add_option("--kad-protocol",
                    name,
                    "Name of the network's hash table: nodes with another one are another network")
        ->capture_default_str();
}

Result<inference::BlockRange> parse_blocks(std::string_view text) {
    const std::size_t colon = text.find(':');
    const auto begin = parse_number(text.substr(0, colon));
    const auto end =
        colon == std::string_view::npos ? std::nullopt : parse_number(text.substr(colon + 1));
    if (begin && end && *begin < *end) return inference::BlockRange{*begin, *end};
    return fail(Errc::invalid_argument,
                fmt::format("'{}' are no blocks: write A:B with A below B, such as 0:10 for the "
                            "first ten",
                            printable(text)));
}

Result<std::vector<petals::PeerAddress>> parse_peers(const SwarmFlags& flags) {
    std::vector<petals::PeerAddress> peers;
    for (const std::string& text : flags.peers) {
        auto peer = petals::parse_peer_address(text);
        if (!peer) return fail(Errc::invalid_argument, "--peer " + peer.error().context);
        peers.push_back(std::move(*peer));
    }
    return peers;
}

Result<std::vector<p2p::Multiaddr>> parse_bootstrap(const std::vector<std::string>& texts) {
    return parse_nodes(texts, "--bootstrap");
}

Result<std::vector<p2p::Multiaddr>> parse_relays(const std::vector<std::string>& texts,
                                                 const std::string& flag) {
    KWAAI_TRY(std::vector<p2p::Multiaddr> relays, parse_nodes(texts, flag));
    for (const p2p::Multiaddr& relay : relays) {
        if (p2p::is_dnsaddr(relay))
            return fail(Errc::invalid_argument,
                        flag + " " + relay.to_text() +
                            ": a relay is given by its address, not by a name's TXT records");
        if (relay.is_relayed())
            return fail(Errc::invalid_argument,
                        flag + " " + relay.to_text() +
                            ": no relay is reached over another one; give what is in front of "
                            "/p2p-circuit");
    }
    return relays;
}

Result<node::ClientNodeOptions> client_options(const EngineFlags& engine,
                                               const SwarmFlags& swarm,
                                               RouteReport& report) {
    node::ClientNodeOptions options;
    KWAAI_TRY(options.peers, parse_peers(swarm));
    KWAAI_TRY(options.bootstrap, parse_bootstrap(swarm.bootstrap));
    options.kad_protocol = swarm.kad_protocol;
    options.finds_servers = swarm.finds_servers;
    options.finds_neighbours = swarm.finds_neighbours;
    KWAAI_TRY(options.rows, node::parse_rows(swarm.rows));
    KWAAI_TRY(options.model_path, find_model(engine.model));
    options.version = KWAAI_VERSION;
    options.prefix = swarm.prefix;
    KWAAI_TRY(
        const crypto::WebTls web,
        crypto::load_web_tls({.certificate = {}, .key = {}, .authorities = swarm.tls_authorities}));
    options.web_client = web.client;
    options.context = engine.context;
    options.threads = engine.threads;
    options.events.on_note = [&report](const std::string& text) {
        show_note(report, text);
    };
    options.events.on_step = [&report](const RouteReport::Hops& hops) {
        report.step(hops);
    };
    return options;
}

Result<OpenedModel> OpenedModel::open(const EngineFlags& engine, const SwarmFlags& swarm) {
    OpenedModel opened;
    if (!swarm.bootstrap.empty() && !swarm.finds_servers)
        return fail(Errc::invalid_argument,
                    "--bootstrap names a node of a network to find servers in: give --swarm too");
    if (swarm.finds_neighbours && !swarm.finds_servers)
        return fail(Errc::invalid_argument,
                    "--mdns looks on the local network for servers: give --swarm too");
    if (swarm.peers.empty() && !swarm.finds_servers) {
        KWAAI_TRY(opened.engine_, load_engine(engine));
        opened.model_ = opened.engine_.get();
        return opened;
    }
    opened.report_ = std::make_unique<RouteReport>();
    KWAAI_TRY(node::ClientNodeOptions options, client_options(engine, swarm, *opened.report_));
    options.network_file = node::client_network_path();
    KWAAI_TRY(opened.client_, node::SwarmClient::start(std::move(options)));
    opened.model_ = &opened.client_->model();
    return opened;
}

void OpenedModel::begin_answer() {
    if (report_) report_->reset();
}

void OpenedModel::write_route(json::Writer& out) const {
    if (!report_) return;
    const auto routes = report_->routes();
    out.key("route");
    cli::write_route(out, routes.empty() ? std::vector<HopTimes>() : routes.back());
}

std::string OpenedModel::route() const {
    if (!report_) return {};
    const auto routes = report_->routes();
    if (routes.empty()) return {};
    return faint("route: " + route_for_people(routes.back())) + "\n";
}

}  // namespace kwaai::cli
