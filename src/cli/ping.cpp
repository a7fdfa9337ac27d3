// kwaai ping: whether a node answers, who it is, and how far away it is.
#include <algorithm>
#include <chrono>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/exit_status.hpp"
#include "cli/interrupts.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "io/loop.hpp"
#include "io/task_group.hpp"
#include "io/tcp.hpp"
#include "json/writer.hpp"
#include "node/identity.hpp"
#include "p2p/host.hpp"

namespace kwaai::cli {
namespace {

using std::chrono::milliseconds;
using Times = std::vector<std::chrono::nanoseconds>;

constexpr milliseconds kPause{200};
constexpr milliseconds kIdentifyTimeout{5000};

struct PingFlags {
    std::string address;
    unsigned count = 4;
    bool is_json = false;
};

double in_milliseconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

Result<void> show_peer(const p2p::PeerInfo& info) {
    return write_out(
        fmt::format("{} is {}, {} protocols\n",
                    info.peer.to_text(),
                    info.agent.empty() ? "a node without a name" : printable(info.agent),
                    info.protocols.size()));
}

Result<void> show_as_json(const p2p::PeerInfo& info, const Times& times) {
    json::Writer out;
    out.begin_object().member("peer_id", info.peer.to_text()).member("agent", info.agent);
    out.key("protocols").begin_array();
    for (const std::string& protocol : info.protocols)
        out.value(protocol);
    out.end().key("rtt_ms").begin_array();
    for (const auto time : times)
        out.value(in_milliseconds(time));
    return write_out(out.end().end().take() + "\n");
}

io::Task<Result<>> ping(p2p::Host& host,
                        io::Clock& clock,
                        PingFlags flags,
                        p2p::Multiaddr address) {
    KWAAI_CO_TRY(const p2p::PeerId peer, co_await host.connect(address));
    auto identifying = host.identify(peer);
    KWAAI_CO_TRY(const p2p::PeerInfo info,
                 co_await io::with_timeout(clock, kIdentifyTimeout, std::move(identifying)));
    if (!flags.is_json) {
        KWAAI_CO_CHECKED(show_peer(info));
    }
    Times times;
    for (unsigned index = 0; index < flags.count; ++index) {
        if (index > 0) co_await clock.sleep_for(kPause);
        KWAAI_CO_TRY(const std::chrono::nanoseconds time, co_await host.ping(peer));
        times.push_back(time);
        if (flags.is_json) continue;
        KWAAI_CO_CHECKED(write_out(fmt::format("{:.3f} ms\n", in_milliseconds(time))));
    }
    if (!flags.is_json) co_return Result<>();
    co_return show_as_json(info, times);
}

io::Task<void> ping_beside(io::TaskGroup& group,
                           p2p::Host& host,
                           io::Clock& clock,
                           PingFlags flags,
                           p2p::Multiaddr address,
                           Result<>& ended) {
    group.spawn(&p2p::Host::run, std::ref(host));
    ended = co_await ping(host, clock, flags, address);
    host.close();
}

Result<> ping_from_here(const PingFlags& flags) {
    const auto address = p2p::Multiaddr::parse(flags.address);
    if (!address) return fail(Errc::invalid_argument, address.error().context);
    KWAAI_TRY(const node::Identity identity, node::Identity::ephemeral());
    io::Loop loop;
    io::TcpNetwork network(loop);
    p2p::Host host(network,
                   loop.clock(),
                   {.identity = identity.key(),
                    .agent = std::string("kwaai/") + KWAAI_VERSION,
                    .limits = {},
                    .random = {}});
    Result<> ended;
    loop.run(io::with_group(
        ping_beside, std::ref(host), std::ref(loop.clock()), flags, *address, std::ref(ended)));
    return ended;
}

}  // namespace

Action add_ping(CLI::App& verb) {
    const auto flags = std::make_shared<PingFlags>();
    verb.add_option("ADDRESS",
                    flags->address,
                    "/ip4/ADDRESS/tcp/PORT/p2p/ID of any libp2p node, as `kwaai serve` prints it")
        ->required();
    verb.add_option("-c,--count", flags->count, "How many pings")
        ->check(CLI::Range(1u, 10000u))
        ->capture_default_str();
    verb.add_flag("--json", flags->is_json, "Print one JSON object");
    verb.footer(
        "Example:\n"
        "  kwaai ping /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...");
    return [flags] {
        Interrupts interrupts;
        const auto done = ping_from_here(*flags);
        return done ? kOk : report(done.error());
    };
}

}  // namespace kwaai::cli
