// kwaai_interop_peer: a node of this project that other libraries' nodes are tested against. Flags
// and output are those of peers/README.md.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "crypto/web_tls_files.hpp"
#include "interop/peer_changes.hpp"
#include "interop/peer_dialler.hpp"
#include "interop/peer_kad.hpp"
#include "interop/peer_nat.hpp"
#include "interop/peer_relay.hpp"
#include "interop/peer_services.hpp"
#include "io/datagram.hpp"
#include "io/interfaces.hpp"
#include "io/loop.hpp"
#include "io/signals.hpp"
#include "io/task_group.hpp"
#include "io/tcp.hpp"
#include "p2p/discovery/mdns.hpp"
#include "p2p/host.hpp"
#include "p2p/nat/gateway.hpp"
#include "p2p/protocol/perf.hpp"

namespace kwaai::interop {
namespace {

struct Flags {
    std::string listen;
    std::string ip = "127.0.0.1";
    std::uint16_t port = 0;
    std::string address_file;
    crypto::KeyType key = crypto::KeyType::ed25519;
    std::string security;
    crypto::WebTlsFiles web;
    bool has_autonat = false;
    bool has_mdns = false;
    std::string upnp;
    std::string natpmp;
    bool is_kad = false;
    std::string kad_join;
    std::string relays;   // limited or unlimited: be a relay whose circuits are
    std::string reserve;  // a relay's address
    DialFlags dial;
};

void add_flags(CLI::App& app, Flags& flags) {
    app.add_option("--listen", flags.listen)->check(CLI::IsMember({"tcp", "ws", "tls/ws", "quic"}));
    app.add_option("--ip", flags.ip, "to listen at");
    app.add_option("--port", flags.port, "0: the system chooses");
    app.add_option("--addrfile", flags.address_file, "gets the multiaddrs, one a line");
    const std::map<std::string, crypto::KeyType> types = {{"ed25519", crypto::KeyType::ed25519},
                                                          {"rsa", crypto::KeyType::rsa},
                                                          {"secp256k1", crypto::KeyType::secp256k1},
                                                          {"ecdsa", crypto::KeyType::ecdsa}};
    app.add_option("--key", flags.key)->transform(CLI::CheckedTransformer(types));
    app.add_option("--sec", flags.security, "the only one; both where it is not given")
        ->check(CLI::IsMember({"noise", "tls"}));
    app.add_option("--tls-certificate", flags.web.certificate, "for tls/ws, a file in PEM");
    app.add_option("--tls-key", flags.web.key);
    app.add_option("--tls-authorities", flags.web.authorities, "believed, a file in PEM");
    app.add_option("--dial", flags.dial.address, "multiaddr with /p2p");
    app.add_option("--pings", flags.dial.pings);
    app.add_option("--echo-mib", flags.dial.echo_mib, "each way, on one stream");
    app.add_option("--streams", flags.dial.streams, "echoes beside each other");
    app.add_flag("--resets", flags.dial.tries_resets, "try /interop/reset/1.0.0");
    app.add_flag(
        "--changes", flags.dial.sees_changes, "see a protocol that comes, a peer that leaves");
    app.add_flag("--ends-last", flags.dial.ends_last, "half-close once all came back");
    app.add_flag("--short-ends-last", flags.dial.short_ends_last, "the same after a few bytes");
    app.add_option("--first-bytes", flags.dial.first_bytes, "new connections, timed");
    app.add_flag("--autonat", flags.has_autonat, "serve it, or ask whether this node is reached");
    app.add_flag("--mdns", flags.has_mdns, "a listener finds and is found on the local network");
    app.add_option("--upnp", flags.upnp, "URL of a router's description: map a port and end");
    app.add_option("--natpmp", flags.natpmp, "IP of a router: the same");
    app.add_flag("--kad", flags.is_kad, "a node of a table, a client where it does not listen");
    app.add_option("--kad-join", flags.kad_join, "a listener: the node to join, put and provide");
    app.add_option("--kad-peer", flags.dial.kad_peer, "a dialler: who joined, to look for");
    app.add_option("--relay", flags.relays, "be a relay, whose circuits are")
        ->check(CLI::IsMember({"limited", "unlimited"}));
    app.add_option("--reserve", flags.reserve, "multiaddr of a relay to be reached through");
    app.add_flag("--punch",
                 flags.dial.waits_for_direct,
                 "turn relayed connections into direct ones; a dialler waits for that");
    app.add_option("--requests", flags.dial.requests, "64 bytes there and back, timed");
    app.add_option("--perf-streams", flags.dial.perf_streams, "that share --perf-mib")
        ->check(CLI::Range(1, 100));
    app.add_option("--perf-mib", flags.dial.perf_mib, "one way, then the other");
}

// The file appears whole: who waits for it reads all lines.
void tell_addresses(const p2p::Host& host,
                    const std::vector<p2p::Multiaddr>& relayed,
                    const std::string& file) {
    std::string lines;
    for (const p2p::Multiaddr& address : host.addresses())
        lines += address.to_text() + "\n";
    for (const p2p::Multiaddr& address : relayed)
        lines += address.with_peer(host.id()).to_text() + "\n";
    std::fputs(lines.c_str(), stdout);
    std::fflush(stdout);
    if (file.empty()) return;
    std::ofstream(file + ".new") << lines;
    std::filesystem::rename(file + ".new", file);
}

struct Node {
    io::Loop& loop;
    p2p::Host& host;
    RelayNode& relay;
    NatNode* nat;          // where it is wanted
    p2p::Mdns* mdns;       // the same
    p2p::kad::Dht* table;  // the same
    const Flags& flags;
};

io::Task<void> serve(Node node) {
    if (node.table != nullptr && !node.flags.kad_join.empty()) {
        const auto joined = co_await join_table(node.host, *node.table, node.flags.kad_join);
        if (!joined) {
            std::fprintf(stderr, "kwaai_interop_peer: %s\n", joined.error().context.c_str());
            co_return;
        }
    }
    // Told once there is a relayed one, too, where that is wanted.
    if (node.flags.reserve.empty()) tell_addresses(node.host, {}, node.flags.address_file);
    io::Signals signals(node.loop);
    co_await signals.next();
}

io::Task<std::string> dial(Node node) {
    DialFlags flags = node.flags.dial;
    flags.table = node.table;
    std::string report;
    if (node.nat != nullptr)
        report = co_await node.nat->ask(flags.address);
    else
        report = co_await dial_and_try(node.host, node.loop.clock(), std::move(flags));
    co_return report;
}

io::Task<void> attend(io::TaskGroup& group, Node node) {
    if (node.table != nullptr) group.spawn(&p2p::kad::Dht::run, std::ref(*node.table));
    if (node.mdns != nullptr) group.spawn(&p2p::Mdns::run, std::ref(*node.mdns));
    if (node.nat != nullptr) group.spawn(&NatNode::run, std::ref(*node.nat));
    node.relay.start(group);
    if (node.flags.dial.address.empty()) {
        co_await serve(node);
    } else {
        const std::string report = co_await dial(node);
        std::puts(report.c_str());
        std::fflush(stdout);
    }
    group.cancel();
}

io::Task<void> work(io::TaskGroup& group, Node node) {
    group.spawn(&p2p::Host::run, std::ref(node.host));
    co_await io::with_group(attend, node);
    node.host.close();
}

void tell_found(const p2p::PeerId& /*peer*/, const std::vector<p2p::Multiaddr>& addresses) {
    for (const p2p::Multiaddr& address : addresses)
        std::printf("FOUND %s\n", address.to_text().c_str());
    std::fflush(stdout);
}

// Maps port 4001 and removes that again.
Result<> try_gateway(p2p::Gateway& gateway) {
    constexpr std::uint16_t kPort = 4001;
    KWAAI_TRY(const p2p::PortMapping mapping, gateway.map(kPort, std::chrono::seconds(600)));
    gateway.unmap(kPort, mapping);
    std::printf("MAPPED %s %d %lld\n",
                mapping.ip.c_str(),
                mapping.port,
                static_cast<long long>(mapping.lifetime.count()));
    return {};
}

Result<> listen(p2p::Host& host, const Flags& flags) {
    const std::string port = std::to_string(flags.port);
    std::string end = "/tcp/" + port;
    if (flags.listen == "quic")
        end = "/udp/" + port + "/quic-v1";
    else if (flags.listen != "tcp")
        end += "/" + flags.listen;
    KWAAI_TRY(const p2p::Multiaddr address, p2p::Multiaddr::parse("/ip4/" + flags.ip + end));
    KWAAI_CHECKED(host.listen(address));
    return {};
}

Result<std::unique_ptr<p2p::Mdns>> make_mdns(io::Loop& loop, p2p::Host& host) {
    KWAAI_TRY(auto socket,
              io::open_multicast(loop,
                                 {.host = p2p::kMdnsGroup, .port = p2p::kMdnsPort},
                                 io::interface_addresses(io::IpFamily::v4)));
    return std::make_unique<p2p::Mdns>(
        host,
        loop.clock(),
        std::move(socket),
        p2p::MdnsOptions{.limits = {}, .random = {}, .on_found = tell_found});
}

Result<RelayNodeOptions> relay_options(const p2p::Host& host, const Flags& flags) {
    RelayNodeOptions options;
    options.serves = flags.relays;
    options.is_punching = flags.dial.waits_for_direct;
    if (!flags.reserve.empty()) {
        KWAAI_TRY(p2p::Multiaddr relay, p2p::Multiaddr::parse(flags.reserve));
        options.reserve.push_back(std::move(relay));
    }
    options.on_reached = [&host, &flags](const std::vector<p2p::Multiaddr>& relayed) {
        tell_addresses(host, relayed, flags.address_file);
    };
    return options;
}

Result<> run(const Flags& flags) {
    if (!flags.upnp.empty()) return try_gateway(*p2p::make_upnp_gateway(flags.upnp));
    if (!flags.natpmp.empty()) return try_gateway(*p2p::make_natpmp_gateway(flags.natpmp));
    KWAAI_TRY(crypto::PrivateKey identity, crypto::PrivateKey::generate(flags.key));
    KWAAI_TRY(crypto::WebTls web, crypto::load_web_tls(flags.web));
    io::Loop loop;
    io::TcpNetwork network(loop);
    p2p::HostOptions options{.identity = std::move(identity),
                             .agent = "kwaai-interop/0.1",
                             .limits = {},
                             .random = {},
                             .web_server = web.server,
                             .web_client = web.client};
    // 1000 streams of a test, and the peer's own.
    options.limits.streams_per_connection_max = options.limits.streams_per_peer_max = 1100;
    if (flags.security == "noise") options.securities = {p2p::Security::noise};
    if (flags.security == "tls") options.securities = {p2p::Security::tls};
    p2p::Host host(network, loop.clock(), std::move(options));
    add_services(host);
    add_change_services(host);
    p2p::PerfLimits perf_limits;
    perf_limits.streams_max = perf_limits.streams_per_peer_max = 100;
    const p2p::PerfServer perf(host, loop.clock(), perf_limits);
    KWAAI_TRY(RelayNodeOptions relaying, relay_options(host, flags));
    RelayNode relay(host, loop.clock(), std::move(relaying));
    std::optional<p2p::kad::Dht> table;
    if (flags.is_kad) table.emplace(host, loop.clock(), kad_options(!flags.listen.empty()));
    if (!flags.listen.empty()) {
        KWAAI_CHECKED(listen(host, flags));
    }
    std::unique_ptr<NatNode> nat;
    if (flags.has_autonat) {
        KWAAI_TRY(crypto::PrivateKey second,
                  crypto::PrivateKey::generate(crypto::KeyType::ed25519));
        nat = std::make_unique<NatNode>(network, loop.clock(), host, std::move(second));
    }
    std::unique_ptr<p2p::Mdns> mdns;
    if (flags.has_mdns) {
        KWAAI_TRY(mdns, make_mdns(loop, host));
    }
    const Node node{loop, host, relay, nat.get(), mdns.get(), table ? &*table : nullptr, flags};
    loop.run(io::with_group(work, node));
    return {};
}

}  // namespace
}  // namespace kwaai::interop

int main(int argc, char** argv) {
    CLI::App app("a node that other libraries' nodes are tested against");
    kwaai::interop::Flags flags;
    kwaai::interop::add_flags(app, flags);
    CLI11_PARSE(app, argc, argv);
    const kwaai::Result<> done = kwaai::interop::run(flags);
    if (done) return 0;
    std::fprintf(stderr, "kwaai_interop_peer: %s\n", done.error().context.c_str());
    return 1;
}
