// kwaai ping, kwaai p2p ping: whether a node answers, who it is, and how far away it is.
#include <chrono>
#include <memory>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/p2p.hpp"
#include "cli/terminal.hpp"
#include "io/timeout.hpp"

namespace kwaai::cli {
namespace {

using std::chrono::milliseconds;
using Times = std::vector<std::chrono::nanoseconds>;

constexpr milliseconds kPause{200};
constexpr milliseconds kIdentifyWait{5000};

struct PingFlags {
    P2pFlags p2p;
    std::string target;
    unsigned count = 4;
};

Result<void> show_as_json(const p2p::PeerInfo& info, const Times& times) {
    json::Writer out;
    out.begin_object();
    write_peer(out, info);
    out.key("rtt_ms").begin_array();
    for (const auto time : times)
        out.value(in_milliseconds(time));
    return write_out(out.end().end().take() + "\n");
}

io::Task<Result<>> ping(node::P2pNode& node, PingFlags flags) {
    io::Clock& clock = node.loop().clock();
    KWAAI_CO_TRY(const p2p::PeerId peer, co_await node.reach(flags.target));
    auto identifying = node.host().identify(peer);
    KWAAI_CO_TRY(const p2p::PeerInfo info,
                 co_await io::with_timeout(clock, kIdentifyWait, std::move(identifying)));
    if (!flags.p2p.is_json) {
        KWAAI_CO_CHECKED(write_out(line_of_peer(info) + "\n"));
    }
    Times times;
    for (unsigned index = 0; index < flags.count; ++index) {
        if (index > 0) co_await clock.sleep_for(kPause);
        KWAAI_CO_TRY(const std::chrono::nanoseconds time, co_await node.host().ping(peer));
        times.push_back(time);
        if (flags.p2p.is_json) continue;
        KWAAI_CO_CHECKED(write_out(fmt::format("{:.3f} ms\n", in_milliseconds(time))));
    }
    if (!flags.p2p.is_json) co_return Result<>();
    co_return show_as_json(info, times);
}

}  // namespace

Action add_ping(CLI::App& verb) {
    const auto flags = std::make_shared<PingFlags>();
    verb.add_option("PEER",
                    flags->target,
                    "/ip4/ADDRESS/tcp/PORT/p2p/ID of any libp2p node, as `kwaai serve` prints it, "
                    "or, with --bootstrap, its ID alone")
        ->required();
    verb.add_option("-c,--count", flags->count, "How many pings")
        ->check(CLI::Range(1u, 10000u))
        ->capture_default_str();
    add_p2p_flags(verb, flags->p2p);
    verb.footer(
        "Example:\n"
        "  kwaai ping /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...");
    return [flags] {
        return run_p2p(flags->p2p, {}, [flags](node::P2pNode& node) { return ping(node, *flags); });
    };
}

}  // namespace kwaai::cli
