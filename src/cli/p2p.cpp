// kwaai p2p: the verbs of the network alone.
#include "cli/p2p.hpp"

#include <array>
#include <csignal>
#include <memory>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/exit_status.hpp"
#include "cli/swarm_flags.hpp"
#include "cli/terminal.hpp"
#include "io/loop.hpp"

namespace kwaai::cli {
namespace {

struct Verb {
    const char* name;
    const char* purpose;
    Action (*add)(CLI::App&);
};

constexpr std::array kVerbs = {
    Verb{"info", "Show this node, or what a peer tells of itself", add_p2p_info},
    Verb{"peers", "List the nodes of a network that one of them leads to", add_p2p_peers},
    Verb{"connect", "Connect to a peer and show what it tells", add_p2p_connect},
    Verb{"ping", "Ask a peer who it is and how far away", add_ping},
    Verb{"put", "Store a value under a key in the network", add_p2p_put},
    Verb{"get", "Read the value of a key from the network", add_p2p_get},
    Verb{"provide", "Tell the network what this node offers, until Ctrl-C", add_p2p_provide},
    Verb{"find", "Find the peers that offer something", add_p2p_find},
    Verb{"perf", "Measure how fast bytes go to a peer and come from it", add_p2p_perf},
    Verb{"relay",
         "Be a relay for nodes that cannot be dialled, or be reached over one",
         add_p2p_relay},
};

constexpr const char* kListenDefault = "/ip4/127.0.0.1/tcp/0";

Result<node::P2pNodeOptions> node_options(const P2pFlags& flags, const P2pDefaults& defaults) {
    node::P2pNodeOptions options;
    options.agent = std::string("kwaai/") + KWAAI_VERSION;
    options.kad_protocol = flags.kad_protocol;
    options.serves_perf = defaults.serves_perf;
    options.relaying = defaults.relaying;
    KWAAI_TRY(options.bootstrap, parse_bootstrap(flags.bootstrap));
    if (defaults.needs_network && options.bootstrap.empty())
        return fail(Errc::invalid_argument,
                    "name a node of the network to begin with: --bootstrap and an address that "
                    "`kwaai serve` or `kwaai p2p provide` printed");
    for (const std::string& text : flags.listen) {
        KWAAI_TRY(p2p::Multiaddr address, node::parse_listen_address(text));
        options.listen.push_back(std::move(address));
    }
    if (options.listen.empty() && defaults.listens) {
        KWAAI_TRY(p2p::Multiaddr address, p2p::Multiaddr::parse(kListenDefault));
        options.listen.push_back(std::move(address));
    }
    KWAAI_TRY(
        options.web,
        crypto::load_web_tls({.certificate = {}, .key = {}, .authorities = flags.tls_authorities}));
    options.on_note = [](const std::string& text) {
        write_note(printable(text) + "\n");
    };
    return options;
}

Result<node::Identity> identity_of(const P2pFlags& flags, const P2pDefaults& defaults) {
    if (defaults.is_user || !flags.identity.empty()) return choose_identity(flags.identity);
    return node::Identity::ephemeral();
}

Result<> run_node(const P2pFlags& flags, const P2pDefaults& defaults, node::P2pNode::Work work) {
    io::Loop loop;
    KWAAI_TRY(const auto node, make_p2p_node(loop, flags, defaults));
    if (!defaults.stays) return loop.run(node->run(std::move(work)));
    KWAAI_CHECKED(loop.run(node->run_until_signal(std::move(work))));
    write_note("\nStopped.\n");
    return {};
}

}  // namespace

void add_p2p_flags(CLI::App& verb, P2pFlags& flags) {
    verb.add_option(
            "--bootstrap",
            flags.bootstrap,
            "A node of the network to join: /ip4/ADDRESS/tcp/PORT/p2p/ID, or /dnsaddr/NAME for "
            "those that a name's TXT records name. Repeatable")
        ->allow_extra_args(false);
    verb.add_option("--listen",
                    flags.listen,
                    "Where others reach this node: /ip4/ADDRESS/tcp/PORT, or a port alone on every "
                    "network; port 0 lets the system choose. Repeatable")
        ->allow_extra_args(false);
    verb.add_option("--identity", flags.identity, "File of a key, made where it is missing");
    add_authorities_flag(verb, flags.tls_authorities);
    add_kad_protocol_flag(verb, flags.kad_protocol);
    verb.add_flag("--json", flags.is_json, "Print JSON");
}

Result<node::Identity> choose_identity(const std::string& file) {
    if (!file.empty()) return node::Identity::from_file(file);
    KWAAI_TRY(node::Identity identity, node::Identity::of_user());
    if (identity.is_ephemeral())
        write_note(fmt::format(
            "{} is that of another node that runs here: this one has an identity for this run "
            "only. --identity FILE gives it one that lasts.\n",
            node::user_identity_path()));
    return identity;
}

Result<std::unique_ptr<node::P2pNode>> make_p2p_node(io::Loop& loop,
                                                     const P2pFlags& flags,
                                                     const P2pDefaults& defaults) {
    KWAAI_TRY(node::P2pNodeOptions options, node_options(flags, defaults));
    KWAAI_TRY(node::Identity identity, identity_of(flags, defaults));
    return node::P2pNode::make(loop, std::move(identity), std::move(options));
}

int run_p2p(const P2pFlags& flags, const P2pDefaults& defaults, node::P2pNode::Work work) {
    // A reader or a peer that goes away must not end the program.
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
    Result<> done = run_node(flags, defaults, std::move(work));
    if (done) return kOk;
    // To report(), `closed` is the reader of our output; here it may be a peer.
    if (done.error().code == Errc::closed && !reader_is_gone())
        done.error().code = Errc::unavailable;
    return report(done.error());
}

io::Task<Result<std::size_t>> join_network(node::P2pNode& node) {
    const std::size_t count = node.options().bootstrap.size();
    if (count > 0)
        write_note(fmt::format(
            "Joining the network through {} {}.\n", count, count == 1 ? "node" : "nodes"));
    auto known = co_await node.join();
    co_return known;
}

std::string lines_of_addresses(const node::P2pNode& node) {
    std::string lines;
    for (const p2p::Multiaddr& address : node.addresses())
        lines += address.to_text() + "\n";
    return lines;
}

void write_addresses(json::Writer& out, const std::vector<p2p::Multiaddr>& addresses) {
    out.key("addresses").begin_array();
    for (const p2p::Multiaddr& address : addresses)
        out.value(address.to_text());
    out.end();
}

Result<> write_addresses_of(const node::P2pNode& node, bool is_json) {
    if (!is_json) return write_out(lines_of_addresses(node));
    json::Writer out;
    out.begin_object();
    write_addresses(out, node.addresses());
    return write_out(out.end().take() + "\n");
}

std::string line_of_peer(const p2p::PeerInfo& info) {
    return fmt::format("{} is {}, {} protocols",
                       info.peer.to_text(),
                       info.agent.empty() ? "a node without a name" : printable(info.agent),
                       info.protocols.size());
}

void write_peer(json::Writer& out, const p2p::PeerInfo& info) {
    out.member("peer_id", info.peer.to_text()).member("agent", info.agent);
    out.key("protocols").begin_array();
    for (const std::string& protocol : info.protocols)
        out.value(protocol);
    out.end();
    write_addresses(out, info.addresses);
    out.member("is_record_signed", info.is_record_signed);
    if (info.observed) out.member("observed", info.observed->to_text());
    if (info.connected) out.member("connected", info.connected->to_text());
}

double in_milliseconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

Action add_p2p(CLI::App& verb) {
    verb.require_subcommand(0, 1);
    verb.footer("`kwaai p2p VERB --help` shows a verb's flags and an example.");
    std::vector<std::pair<const CLI::App*, Action>> actions;
    for (const Verb& one : kVerbs) {
        CLI::App* const added = verb.add_subcommand(one.name, one.purpose);
        actions.emplace_back(added, one.add(*added));
    }
    return [&verb, actions = std::move(actions)] {
        for (const auto& [sub, action] : actions)
            if (sub->parsed()) return action();
        const auto written = write_out(verb.help("kwaai"));
        return written ? kOk : report(written.error());
    };
}

}  // namespace kwaai::cli
