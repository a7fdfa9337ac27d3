// kwaai p2p relay: be a relay, or be reached over one.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/exit_status.hpp"
#include "cli/p2p.hpp"
#include "cli/report.hpp"
#include "cli/swarm_flags.hpp"
#include "cli/terminal.hpp"

namespace kwaai::cli {
namespace {

constexpr std::uint64_t kMinutesMax = 7 * 24 * 60;
constexpr std::uint64_t kMegabytesMax = 1 << 20;
constexpr std::size_t kReservationsMax = 4096;

struct RelayFlags {
    P2pFlags p2p;
    std::vector<std::string> at;
    std::uint64_t minutes =
        std::chrono::duration_cast<std::chrono::minutes>(node::kTextCircuit.duration).count();
    std::uint64_t megabytes = node::kTextCircuit.bytes >> 20;
    std::size_t reservations = p2p::relay::RelayLimits().reservations_max;
};

// What goes to stdout while the node runs; a reader that has gone away ends nothing.
void print(const std::string& line) {
    const Result<> written = write_out(line + "\n");
    static_cast<void>(written);
}

std::string line_of_use(std::size_t reservations, std::size_t circuits, bool is_json) {
    if (!is_json)
        return fmt::format("{} {}, {} {}",
                           reservations,
                           reservations == 1 ? "reservation" : "reservations",
                           circuits,
                           circuits == 1 ? "circuit" : "circuits");
    json::Writer out;
    out.begin_object().member("reservations", std::uint64_t{reservations});
    return out.member("circuits", std::uint64_t{circuits}).end().take();
}

std::string lines_of_places(const std::vector<p2p::Multiaddr>& places, bool is_json) {
    if (is_json) {
        json::Writer out;
        out.begin_object();
        write_addresses(out, places);
        return out.end().take();
    }
    std::string lines;
    for (const p2p::Multiaddr& place : places)
        lines += (lines.empty() ? "" : "\n") + place.to_text();
    return lines.empty() ? "no relay leads here" : lines;
}

node::RelayOptions service_options(const RelayFlags& flags) {
    node::RelayOptions options;
    options.service = p2p::relay::Use::always;
    options.limits.reservations_max = flags.reservations;
    options.limits.circuit = p2p::CircuitLimit{.duration = std::chrono::minutes(flags.minutes),
                                               .bytes = flags.megabytes << 20};
    if (flags.minutes == 0 && flags.megabytes == 0) options.limits.circuit.reset();
    options.on_use = [is_json = flags.p2p.is_json](std::size_t reservations, std::size_t circuits) {
        print(line_of_use(reservations, circuits, is_json));
    };
    return options;
}

node::RelayOptions place_options(std::vector<p2p::Multiaddr> relays, bool is_json) {
    node::RelayOptions options;
    options.relays = std::move(relays);
    options.on_places = [is_json](const std::vector<p2p::Multiaddr>& places) {
        print(lines_of_places(places, is_json));
    };
    return options;
}

io::Task<Result<>> serve(node::P2pNode& node, RelayFlags flags) {
    KWAAI_CO_CHECKED(write_addresses_of(node, flags.p2p.is_json));
    KWAAI_CO_CHECKED(co_await join_network(node));
    p2p::Capability capability;
    capability.names = {p2p::relay::kRelayCapability};
    KWAAI_CO_CHECKED(node.discovery().offer(std::move(capability)));
    write_note("Relaying. Ctrl-C stops.\n");
    co_return Result<>();
}

io::Task<Result<>> hold_places(node::P2pNode& node) {
    KWAAI_CO_CHECKED(co_await join_network(node));
    write_note("Asking for a place. Ctrl-C stops.\n");
    co_return Result<>();
}

int relay(const RelayFlags& flags) {
    P2pDefaults defaults{.is_user = true, .listens = true, .serves_perf = true, .stays = true};
    if (flags.at.empty()) {
        defaults.relaying = service_options(flags);
        return run_p2p(
            flags.p2p, defaults, [flags](node::P2pNode& node) { return serve(node, flags); });
    }
    auto relays = parse_relays(flags.at, "--at");
    if (!relays) return report(relays.error());
    defaults.relaying = place_options(std::move(*relays), flags.p2p.is_json);
    return run_p2p(flags.p2p, defaults, hold_places);
}

}  // namespace

Action add_p2p_relay(CLI::App& verb) {
    const auto flags = std::make_shared<RelayFlags>();
    verb.add_option("--at",
                    flags->at,
                    "Be no relay, but hold a place at this one and be reached over it: "
                    "/ip4/ADDRESS/tcp/PORT/p2p/ID. Repeatable")
        ->allow_extra_args(false);
    verb.add_option("--circuit-minutes", flags->minutes, "How long a circuit lasts; 0: no limit")
        ->check(CLI::Range(std::uint64_t{0}, kMinutesMax))
        ->capture_default_str();
    verb.add_option("--circuit-mib", flags->megabytes, "What passes each way, in MiB; 0: no limit")
        ->check(CLI::Range(std::uint64_t{0}, kMegabytesMax))
        ->capture_default_str();
    verb.add_option("--reservations", flags->reservations, "Nodes that may hold a place here")
        ->check(CLI::Range(std::size_t{1}, kReservationsMax))
        ->capture_default_str();
    add_p2p_flags(verb, flags->p2p);
    verb.footer(
        "A relay's addresses go to stdout, a line each, then a line whenever a reservation or a\n"
        "circuit comes or goes; with --at, the addresses over relays whenever they change. It\n"
        "listens on this machine alone where --listen says nothing else.\n\n"
        "Examples:\n"
        "  kwaai p2p relay --listen 4001\n"
        "  kwaai serve --blocks 0:15 --relay /ip4/203.0.113.5/tcp/4001/p2p/12D3KooW...\n"
        "  kwaai p2p relay --at /ip4/203.0.113.5/tcp/4001/p2p/12D3KooW...");
    return [flags] {
        return relay(*flags);
    };
}

}  // namespace kwaai::cli
