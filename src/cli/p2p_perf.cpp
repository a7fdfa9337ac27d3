// kwaai p2p perf: how many bytes a second go to a peer and come from it.
#include <chrono>
#include <memory>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/p2p.hpp"
#include "cli/terminal.hpp"
#include "p2p/protocol/perf.hpp"

namespace kwaai::cli {
namespace {

struct PerfFlags {
    P2pFlags p2p;
    std::string target;
    std::uint64_t upload_mib = 256;
    std::uint64_t download_mib = 256;
};

struct Direction {
    const char* name;   // of JSON's members
    const char* label;  // for people
    std::uint64_t mib = 0;
    double seconds = 0;
};

io::Task<Result<>> measure(node::P2pNode& node, p2p::PeerId peer, Direction& direction) {
    const bool is_upload = std::string_view(direction.name) == "upload";
    const std::uint64_t bytes = direction.mib << 20;
    ProgressLine progress(direction.label);
    p2p::PerfRequest request;
    (is_upload ? request.upload_bytes : request.download_bytes) = bytes;
    request.on_progress = [&progress, bytes](std::uint64_t moved) {
        progress.update(moved, bytes);
    };
    KWAAI_CO_TRY(
        const io::Duration took,
        co_await p2p::measure_perf(
            node.host(), node.loop().clock(), p2p::PerfLimits(), peer, std::move(request)));
    direction.seconds = std::chrono::duration<double>(took).count();
    co_return Result<>();
}

double mib_per_second(const Direction& direction) {
    return direction.seconds > 0 ? static_cast<double>(direction.mib) / direction.seconds : 0;
}

std::string line_of(const Direction& direction) {
    return fmt::format("{}  {:.1f} MiB/s ({} MiB in {:.3f} s)\n",
                       direction.label,
                       mib_per_second(direction),
                       direction.mib,
                       direction.seconds);
}

io::Task<Result<>> measure_all(node::P2pNode& node, PerfFlags flags) {
    KWAAI_CO_TRY(const p2p::PeerId peer, co_await node.reach(flags.target));
    Direction upload{.name = "upload", .label = "up  ", .mib = flags.upload_mib};
    Direction download{.name = "download", .label = "down", .mib = flags.download_mib};
    json::Writer out;
    out.begin_object().member("peer_id", peer.to_text());
    for (Direction* const one : {&upload, &download}) {
        if (one->mib == 0) continue;
        KWAAI_CO_CHECKED(co_await measure(node, peer, *one));
        out.key(one->name).begin_object().member("bytes", one->mib << 20);
        out.member("seconds", one->seconds).member("mib_per_second", mib_per_second(*one)).end();
        if (flags.p2p.is_json) continue;
        KWAAI_CO_CHECKED(write_out(line_of(*one)));
    }
    if (!flags.p2p.is_json) co_return Result<>();
    co_return write_out(out.end().take() + "\n");
}

io::Task<Result<>> serve(node::P2pNode& node, PerfFlags flags) {
    KWAAI_CO_CHECKED(write_addresses_of(node, flags.p2p.is_json));
    KWAAI_CO_TRY(const std::size_t known, co_await join_network(node));
    static_cast<void>(known);
    write_note("Whoever reaches this node may measure against it. Ctrl-C stops.\n");
    co_return Result<>();
}

}  // namespace

Action add_p2p_perf(CLI::App& verb) {
    const auto flags = std::make_shared<PerfFlags>();
    verb.add_option("PEER",
                    flags->target,
                    "/ip4/ADDRESS/tcp/PORT/p2p/ID of a node that speaks /perf/1.0.0; without it, "
                    "this node is one");
    verb.add_option("--upload", flags->upload_mib, "MiB to send; 0 = none")
        ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{16} << 10))
        ->capture_default_str();
    verb.add_option("--download", flags->download_mib, "MiB to ask for; 0 = none")
        ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{16} << 10))
        ->capture_default_str();
    add_p2p_flags(verb, flags->p2p);
    verb.footer(
        "Examples:\n"
        "  kwaai p2p perf --listen 4001\n"
        "  kwaai p2p perf /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...");
    return [flags] {
        if (flags->target.empty())
            return run_p2p(flags->p2p,
                           {.listens = true, .serves_perf = true, .stays = true},
                           [flags](node::P2pNode& node) { return serve(node, *flags); });
        return run_p2p(
            flags->p2p, {}, [flags](node::P2pNode& node) { return measure_all(node, *flags); });
    };
}

}  // namespace kwaai::cli
