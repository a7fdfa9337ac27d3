// kwaai p2p info, peers, connect: who this node is, who a peer is, who is there.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/p2p.hpp"
#include "cli/terminal.hpp"
#include "io/timeout.hpp"
#include "p2p/kad/dht_limits.hpp"

namespace kwaai::cli {
namespace {

constexpr std::chrono::seconds kIdentifyTimeout{5};
constexpr std::string_view kIndent = "\n              ";

struct PeerFlags {
    P2pFlags p2p;
    std::string target;
};

struct NamedLimit {
    std::string_view name;
    std::uint64_t value;
};

std::vector<NamedLimit> limits_of(const p2p::Limits& limits) {
    const p2p::kad::DhtLimits dht;
    return {{"connections", limits.connections_max},
            {"connections of a peer", limits.connections_per_peer_max},
            {"handshakes under way", limits.pending_inbound_max},
            {"streams", limits.streams_max},
            {"streams of a peer", limits.streams_per_peer_max},
            {"bytes of a stream's window", limits.window_max},
            {"bytes of a connection's windows", limits.window_total_max},
            {"known peers", limits.known_peers_max},
            {"stored values", dht.records_max},
            {"bytes of stored values", dht.records_bytes_max},
            {"bytes of a value", dht.value_bytes_max},
            {"values and names published", dht.published_max}};
}

std::string listed(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines)
        text += (text.empty() ? "" : std::string(kIndent)) + printable(line);
    return text.empty() ? "none" : text;
}

std::vector<std::string> texts_of(const std::vector<p2p::Multiaddr>& addresses) {
    std::vector<std::string> texts;
    for (const p2p::Multiaddr& address : addresses)
        texts.push_back(address.to_text());
    return texts;
}

// ---- this node

std::string text_of_self(node::P2pNode& node) {
    const std::vector<std::string> addresses = texts_of(node.addresses());
    const std::string text =
        fmt::format("{}\n  agent       {}\n  addresses   {}\n  protocols   {}\n",
                    node.host().id().to_text(),
                    node.options().agent,
                    addresses.empty() ? "none: it does not listen (--listen)" : listed(addresses),
                    listed(node.host().protocols()));
    std::vector<std::string> limits;
    for (const NamedLimit& limit : limits_of(node.options().limits))
        limits.push_back(fmt::format("{} {}", limit.value, limit.name));
    return text + "  limits      " + listed(limits) + "\n";
}

std::string json_of_self(node::P2pNode& node) {
    json::Writer out;
    out.begin_object().member("peer_id", node.host().id().to_text());
    out.member("agent", node.options().agent);
    write_addresses(out, node.addresses());
    out.key("protocols").begin_array();
    for (const std::string& protocol : node.host().protocols())
        out.value(protocol);
    out.end().key("limits").begin_object();
    for (const NamedLimit& limit : limits_of(node.options().limits))
        out.member(limit.name, limit.value);
    return out.end().end().take() + "\n";
}

io::Task<Result<>> show_self(node::P2pNode& node, P2pFlags flags) {
    Result<> written = write_out(flags.is_json ? json_of_self(node) : text_of_self(node));
    co_return written;
}

// ---- a peer

struct SeenPeer {
    p2p::PeerInfo info;
    std::optional<std::chrono::nanoseconds> round_trip;
};

std::string text_of(const SeenPeer& peer) {
    const p2p::PeerInfo& info = peer.info;
    std::string text = fmt::format("{}\n  agent       {}\n",
                                   info.peer.to_text(),
                                   info.agent.empty() ? "none" : printable(info.agent));
    if (peer.round_trip)
        text += fmt::format("  round trip  {:.3f} ms\n", in_milliseconds(*peer.round_trip));
    if (info.connected) text += fmt::format("  connected   {}\n", info.connected->to_text());
    if (info.observed) text += fmt::format("  sees us at  {}\n", info.observed->to_text());
    text += fmt::format("  addresses   {}\n", listed(texts_of(info.addresses)));
    text += fmt::format("  signed      {}\n",
                        info.is_record_signed ? "yes, the addresses are the peer's own word"
                                              : "no, the addresses came without a signature");
    return text + fmt::format("  protocols   {}\n", listed(info.protocols));
}

std::string json_of(const SeenPeer& peer) {
    json::Writer out;
    out.begin_object();
    write_peer(out, peer.info);
    if (peer.round_trip) out.member("rtt_ms", in_milliseconds(*peer.round_trip));
    return out.end().take() + "\n";
}

// What identify told, and a ping where the peer answers one.
io::Task<Result<SeenPeer>> look_at(node::P2pNode& node, std::string target) {
    KWAAI_CO_TRY(const p2p::PeerId peer, co_await node.reach(std::move(target)));
    auto identifying = node.host().identify(peer);
    KWAAI_CO_TRY(
        p2p::PeerInfo info,
        co_await io::with_timeout(node.loop().clock(), kIdentifyTimeout, std::move(identifying)));
    SeenPeer seen{.info = std::move(info), .round_trip = std::nullopt};
    const auto time = co_await node.host().ping(peer);
    if (time) seen.round_trip = *time;
    co_return seen;
}

io::Task<Result<>> show_peer(node::P2pNode& node, PeerFlags flags) {
    KWAAI_CO_TRY(const SeenPeer seen, co_await look_at(node, flags.target));
    Result<> written = write_out(flags.p2p.is_json ? json_of(seen) : text_of(seen));
    co_return written;
}

io::Task<Result<>> connect_to_peer(node::P2pNode& node, PeerFlags flags) {
    write_note("Connecting to " + printable(flags.target) + ".\n");
    const io::TimePoint begin = node.loop().clock().now();
    KWAAI_CO_TRY(const p2p::PeerId peer, co_await node.reach(flags.target));
    write_note(fmt::format("Connected to {} after {:.1f} ms.\n",
                           peer.to_text(),
                           in_milliseconds(node.loop().clock().now() - begin)));
    Result<> shown = co_await show_peer(node, flags);
    co_return shown;
}

// ---- the network

// Those in the table, and of `nearest` those that are not yet checked for a place in it.
std::vector<p2p::PeerInfo> infos_of(node::P2pNode& node,
                                    const std::vector<p2p::kad::PeerAddresses>& nearest) {
    const std::vector<p2p::PeerInfo> connected = node.host().peers();
    std::vector<p2p::PeerId> peers = node.dht().peers();
    for (const p2p::kad::PeerAddresses& near : nearest)
        if (std::ranges::find(peers, near.peer) == peers.end()) peers.push_back(near.peer);
    std::vector<p2p::PeerInfo> all;
    for (const p2p::PeerId& peer : peers) {
        const auto found = std::ranges::find(connected, peer, &p2p::PeerInfo::peer);
        if (found != connected.end()) {
            all.push_back(*found);
            continue;
        }
        all.push_back({.peer = peer,
                       .agent = {},
                       .protocols = {},
                       .addresses = node.host().known_addresses(peer),
                       .observed = {},
                       .connected = {}});
    }
    return all;
}

std::string json_of(const std::vector<p2p::PeerInfo>& infos) {
    json::Writer out;
    out.begin_array();
    for (const p2p::PeerInfo& info : infos) {
        out.begin_object();
        write_peer(out, info);
        out.end();
    }
    return out.end().take() + "\n";
}

io::Task<Result<>> list_peers(node::P2pNode& node, P2pFlags flags) {
    KWAAI_CO_TRY(const std::size_t known, co_await join_network(node));
    static_cast<void>(known);
    codec::Buffer self = codec::to_buffer(node.host().id().bytes());
    KWAAI_CO_TRY(const std::vector<p2p::kad::PeerAddresses> nearest,
                 co_await node.dht().find_closest(std::move(self)));
    const std::vector<p2p::PeerInfo> infos = infos_of(node, nearest);
    if (flags.is_json) co_return write_out(json_of(infos));
    std::string text;
    for (const p2p::PeerInfo& info : infos) {
        const auto address = info.connected           ? info.connected
                             : info.addresses.empty() ? std::nullopt
                                                      : std::optional(info.addresses.front());
        text += fmt::format(
            "{}, {}\n", line_of_peer(info), address ? address->to_text() : "no address");
    }
    co_return write_out(text);
}

void add_target(CLI::App& verb, PeerFlags& flags) {
    verb.add_option("PEER",
                    flags.target,
                    "/ip4/ADDRESS/tcp/PORT/p2p/ID of any libp2p node, /dnsaddr/NAME for one that a "
                    "name's TXT records name, or, with --bootstrap, its ID alone");
    add_p2p_flags(verb, flags.p2p);
}

}  // namespace

Action add_p2p_info(CLI::App& verb) {
    const auto flags = std::make_shared<PeerFlags>();
    add_target(verb, *flags);
    verb.footer(
        "Without PEER it shows this node, as it would be with these flags.\n\n"
        "Examples:\n"
        "  kwaai p2p info --listen 4001\n"
        "  kwaai p2p info /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...");
    return [flags] {
        if (!flags->target.empty())
            return run_p2p(
                flags->p2p, {}, [flags](node::P2pNode& node) { return show_peer(node, *flags); });
        return run_p2p(flags->p2p, {.is_user = true}, [flags](node::P2pNode& node) {
            return show_self(node, flags->p2p);
        });
    };
}

Action add_p2p_connect(CLI::App& verb) {
    const auto flags = std::make_shared<PeerFlags>();
    add_target(verb, *flags);
    verb.get_option("PEER")->required();
    verb.footer(
        "Example:\n"
        "  kwaai p2p connect /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...");
    return [flags] {
        return run_p2p(
            flags->p2p, {}, [flags](node::P2pNode& node) { return connect_to_peer(node, *flags); });
    };
}

Action add_p2p_peers(CLI::App& verb) {
    const auto flags = std::make_shared<P2pFlags>();
    add_p2p_flags(verb, *flags);
    verb.footer(
        "Example:\n"
        "  kwaai p2p peers --bootstrap /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...");
    return [flags] {
        return run_p2p(*flags, {.needs_network = true}, [flags](node::P2pNode& node) {
            return list_peers(node, *flags);
        });
    };
}

}  // namespace kwaai::cli
