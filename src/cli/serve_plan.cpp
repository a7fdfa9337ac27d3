#include "cli/serve.hpp"

namespace kwaai::cli {
namespace {

constexpr std::string_view kHttpDefault = "127.0.0.1:8080";
constexpr std::string_view kListenDefault = "/ip4/127.0.0.1/tcp/0";

Result<std::vector<p2p::Multiaddr>> parse_listen(const std::vector<std::string>& texts) {
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
    KWAAI_TRY(p2p::Multiaddr address, p2p::Multiaddr::parse(kListenDefault));
    addresses.push_back(std::move(address));
    return addresses;
}

Result<> check_together(const ServeFlags& flags, const ServePlan& plan) {
    if (!plan.serves_blocks && !flags.identity.empty())
        return fail(Errc::invalid_argument,
                    "--identity is for a node that serves blocks: give --blocks or --listen too");
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
        KWAAI_TRY(plan.listen, parse_listen(flags.listen));
    }
    if (flags.http || !flags.blocks) {
        KWAAI_TRY(plan.http, io::parse_address(flags.http.value_or(std::string(kHttpDefault))));
    }
    KWAAI_TRY(plan.peers, parse_peers(flags.swarm));
    KWAAI_CHECKED(check_together(flags, plan));
    return plan;
}

bool is_loopback(const io::Address& address) {
    return address.host == "localhost" || address.host == "::1" || address.host.starts_with("127.");
}

}  // namespace kwaai::cli
