#include "cli/serve.hpp"

namespace kwaai::cli {
namespace {

constexpr std::string_view kHttpDefault = "127.0.0.1:8080";
constexpr std::string_view kListenDefault = "/ip4/127.0.0.1/tcp/0";
// Others reach the node anyhow, and only what listens on a network can be met directly there.
constexpr std::string_view kListenWithRelays = "/ip4/0.0.0.0/tcp/0";

Result<std::vector<p2p::Multiaddr>> parse_listen(const std::vector<std::string>& texts,
                                                 std::string_view otherwise) {
    std::vector<p2p::Multiaddr> addresses;
    for (const std::string& text : texts) {
        auto address = p2p::Multiaddr::parse(text);
        if (!address)
            return fail(Errc::invalid_argument,
                        "--listen " + text + ": " + address.error().context +
                            "; write for example /ip4/0.0.0.0/tcp/4001");
        addresses.push_back(std::move(*address));
    }
    if (!addresses.empty()) return addresses;
    KWAAI_TRY(p2p::Multiaddr address, p2p::Multiaddr::parse(otherwise));
    addresses.push_back(std::move(address));
    return addresses;
}

Result<p2p::relay::Use> parse_relay_service(const std::string& text) {
    if (text == "auto") return p2p::relay::Use::automatic;
    if (text == "on") return p2p::relay::Use::always;
    if (text == "off") return p2p::relay::Use::never;
    return fail(Errc::invalid_argument, "--relay-service is on, off or auto, not \"" + text + "\"");
}

Result<node::RelayOptions> plan_relaying(const ServeFlags& flags) {
    node::RelayOptions options;
    KWAAI_TRY(options.relays, parse_relays(flags.relays, "--relay"));
    options.is_relayed_only = flags.is_relayed_only;
    KWAAI_TRY(options.service, parse_relay_service(flags.relay_service));
    if (options.service == p2p::relay::Use::always) options.limits.circuit = node::kTextCircuit;
    if (flags.is_relayed_only && options.service == p2p::relay::Use::always)
        return fail(Errc::invalid_argument,
                    "--relay-service on is for a node that others dial, and --relay-only for one "
                    "that they do not");
    return options;
}

Result<> check_together(const ServeFlags& flags, const ServePlan& plan) {
    if (!plan.serves_blocks && (!flags.relays.empty() || flags.is_relayed_only))
        return fail(Errc::invalid_argument,
                    "--relay and --relay-only are for a node that serves blocks: give --blocks or "
                    "--listen too");
    if (!plan.serves_blocks && flags.swarm.finds_neighbours && !flags.swarm.finds_servers)
        return fail(Errc::invalid_argument,
                    "--mdns is for a node that serves blocks or finds those who do: give --blocks, "
                    "--listen or --swarm too");
    if (!plan.serves_blocks && !flags.identity.empty())
        return fail(Errc::invalid_argument,
                    "--identity is for a node that serves blocks: give --blocks or --listen too");
    if (flags.tls_certificate.empty() != flags.tls_key.empty())
        return fail(Errc::invalid_argument,
                    "--tls-certificate and --tls-key are files of one pair: give both");
    if (!plan.serves_blocks && !flags.tls_certificate.empty())
        return fail(Errc::invalid_argument,
                    "--tls-certificate is for where other nodes reach the blocks: give --blocks "
                    "or --listen too");
    if (!plan.http && (!plan.peers.empty() || flags.swarm.finds_servers))
        return fail(
            Errc::invalid_argument,
            "--peer and --swarm say where texts get their other blocks, but a node with --blocks "
            "alone writes none: give --http too");
    return {};
}

}  // namespace

Result<ServePlan> plan_serving(const ServeFlags& flags) {
    ServePlan plan;
    plan.serves_blocks = flags.blocks.has_value() || !flags.listen.empty();
    if (flags.blocks) {
        KWAAI_TRY(plan.range, parse_blocks(*flags.blocks));
    }
    if (plan.serves_blocks) {
        const bool is_met = !flags.relays.empty() && !flags.is_relayed_only;
        KWAAI_TRY(plan.listen,
                  parse_listen(flags.listen, is_met ? kListenWithRelays : kListenDefault));
    }
    if (flags.http || !flags.blocks) {
        KWAAI_TRY(plan.http, io::parse_address(flags.http.value_or(std::string(kHttpDefault))));
    }
    KWAAI_TRY(plan.relaying, plan_relaying(flags));
    KWAAI_TRY(plan.peers, parse_peers(flags.swarm));
    KWAAI_CHECKED(check_together(flags, plan));
    return plan;
}

bool is_loopback(const io::Address& address) {
    return address.host == "localhost" || address.host == "::1" || address.host.starts_with("127.");
}

}  // namespace kwaai::cli
