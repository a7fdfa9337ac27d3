// kwaai p2p provide, find: what nodes offer each other.
#include <memory>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/p2p.hpp"
#include "cli/terminal.hpp"
#include "p2p/kad/kad_key.hpp"

namespace kwaai::cli {
namespace {

constexpr std::size_t kFoundMax = 64;

struct ProvideFlags {
    P2pFlags p2p;
    std::vector<std::string> names;
};

struct FindFlags {
    P2pFlags p2p;
    std::string name;
    std::size_t count = 20;
    bool is_raw = false;
};

std::string text_of_start(const node::P2pNode& node, const ProvideFlags& flags) {
    if (!flags.p2p.is_json) return lines_of_addresses(node);
    json::Writer out;
    out.begin_object();
    write_addresses(out, node.addresses());
    out.key("names").begin_array();
    for (const std::string& name : flags.names)
        out.value(name);
    return out.end().end().take() + "\n";
}

io::Task<Result<>> provide(node::P2pNode& node, ProvideFlags flags) {
    p2p::Capability capability;
    capability.names = flags.names;
    KWAAI_CO_CHECKED(write_out(text_of_start(node, flags)));
    KWAAI_CO_TRY(const std::size_t known, co_await join_network(node));
    KWAAI_CO_CHECKED(node.discovery().offer(std::move(capability)));
    write_note(known > 0 ? "Telling the network what this node provides. Ctrl-C stops.\n"
                         : "Whoever joins the network through this node finds what it provides. "
                           "Ctrl-C stops.\n");
    co_return Result<>();
}

std::string offers_of(const p2p::Capability& capability) {
    std::string text;
    for (const p2p::ModelOffer& model : capability.models)
        text += fmt::format(
            ", {} {}:{} {}", printable(model.name), model.begin, model.end, printable(model.rows));
    if (capability.rows_per_second > 0)
        text += fmt::format(", {:.1f} rows/s", capability.rows_per_second);
    return text;
}

void write_found(json::Writer& out, const p2p::FoundPeer& peer) {
    const p2p::Capability& capability = peer.record.capability;
    out.begin_object().member("peer_id", peer.record.peer.to_text());
    out.member("address", peer.address.to_text());
    out.member("answer_ms", in_milliseconds(peer.answer_time));
    out.key("names").begin_array();
    for (const std::string& name : capability.names)
        out.value(name);
    out.end().key("models").begin_array();
    for (const p2p::ModelOffer& model : capability.models)
        out.begin_object()
            .member("name", model.name)
            .member("begin", model.begin)
            .member("end", model.end)
            .member("rows", model.rows)
            .end();
    out.end().member("memory_bytes", capability.memory_bytes);
    out.member("rows_per_second", capability.rows_per_second);
    out.member("expires", capability.expires).end();
}

std::string text_of(const std::vector<p2p::FoundPeer>& found, bool is_json) {
    std::string text;
    if (!is_json) {
        for (const p2p::FoundPeer& peer : found)
            text += fmt::format("{}, answered in {:.1f} ms{}\n",
                                peer.address.to_text(),
                                in_milliseconds(peer.answer_time),
                                offers_of(peer.record.capability));
        return text;
    }
    json::Writer out;
    out.begin_array();
    for (const p2p::FoundPeer& peer : found)
        write_found(out, peer);
    return out.end().take() + "\n";
}

std::string text_of(const std::vector<p2p::kad::PeerAddresses>& providers, bool is_json) {
    std::string text;
    json::Writer out;
    out.begin_array();
    for (const p2p::kad::PeerAddresses& provider : providers) {
        text += provider.peer.to_text();
        for (const p2p::Multiaddr& address : provider.addresses)
            text += " " + address.to_text();
        text += "\n";
        out.begin_object().member("peer_id", provider.peer.to_text());
        write_addresses(out, provider.addresses);
        out.end();
    }
    return is_json ? out.end().take() + "\n" : text;
}

Error nobody_offers(const std::string& name) {
    return {Errc::not_found, "nobody offers " + printable(name)};
}

io::Task<Result<>> find_providers(node::P2pNode& node, FindFlags flags) {
    codec::Buffer key = p2p::kad::provider_key(flags.name);
    KWAAI_CO_TRY(const std::vector<p2p::kad::PeerAddresses> providers,
                 co_await node.dht().find_providers(std::move(key), flags.count));
    KWAAI_CO_CHECKED(write_out(text_of(providers, flags.p2p.is_json)));
    if (providers.empty()) co_return std::unexpected<Error>(nobody_offers(flags.name));
    co_return Result<>();
}

io::Task<Result<>> find(node::P2pNode& node, FindFlags flags) {
    KWAAI_CO_TRY(const std::size_t known, co_await join_network(node));
    static_cast<void>(known);
    write_note("Looking for peers that offer " + printable(flags.name) + ".\n");
    if (flags.is_raw) {
        Result<> shown = co_await find_providers(node, flags);
        co_return shown;
    }
    const std::vector<p2p::FoundPeer> found =
        co_await node.discovery().find(flags.name, flags.count);
    KWAAI_CO_CHECKED(write_out(text_of(found, flags.p2p.is_json)));
    if (found.empty()) co_return std::unexpected<Error>(nobody_offers(flags.name));
    co_return Result<>();
}

}  // namespace

Action add_p2p_provide(CLI::App& verb) {
    const auto flags = std::make_shared<ProvideFlags>();
    verb.add_option("NAME", flags->names, "What this node offers, such as inference:llama2")
        ->required();
    add_p2p_flags(verb, flags->p2p);
    verb.footer(
        "Its addresses go to stdout, a line each. It listens on this machine alone where --listen\n"
        "says nothing else.\n\n"
        "Examples:\n"
        "  kwaai p2p provide inference:llama2 --listen 4001\n"
        "  kwaai p2p provide inference:llama2 --bootstrap /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...");
    return [flags] {
        return run_p2p(flags->p2p,
                       {.is_user = true, .listens = true, .stays = true},
                       [flags](node::P2pNode& node) { return provide(node, *flags); });
    };
}

Action add_p2p_find(CLI::App& verb) {
    const auto flags = std::make_shared<FindFlags>();
    verb.add_option("NAME", flags->name, "As it is provided")->required();
    verb.add_option("-n,--count", flags->count, "At most so many peers")
        ->check(CLI::Range(std::size_t{1}, kFoundMax))
        ->capture_default_str();
    verb.add_flag("--raw", flags->is_raw, "All who are said to offer it, without asking them");
    add_p2p_flags(verb, flags->p2p);
    verb.footer(
        "Each peer was reached and signed that it offers the name; who answers soonest and "
        "computes\n"
        "fastest comes first.\n\n"
        "Example:\n"
        "  kwaai p2p find inference:llama2 --bootstrap /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...");
    return [flags] {
        return run_p2p(flags->p2p, {.needs_network = true}, [flags](node::P2pNode& node) {
            return find(node, *flags);
        });
    };
}

}  // namespace kwaai::cli
