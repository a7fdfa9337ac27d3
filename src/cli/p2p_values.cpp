// kwaai p2p put, get: values under names that all nodes of the network share.
#include <chrono>
#include <memory>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/p2p.hpp"
#include "cli/report.hpp"
#include "cli/terminal.hpp"

namespace kwaai::cli {
namespace {

struct ValueFlags {
    P2pFlags p2p;
    std::string key;
    std::string value;
    std::string publisher;
    bool stays = false;
};

std::uint64_t milliseconds_now() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::milliseconds>(now).count());
}

std::string text_of_put(const node::P2pNode& node, const ValueFlags& flags, std::size_t taken) {
    if (!flags.p2p.is_json)
        return fmt::format("Stored on {} {}.\n", taken, taken == 1 ? "node" : "nodes");
    json::Writer out;
    out.begin_object().member("key", flags.key).member("nodes", taken);
    if (flags.stays) write_addresses(out, node.addresses());
    return out.end().take() + "\n";
}

io::Task<Result<>> put(node::P2pNode& node, ValueFlags flags) {
    KWAAI_CO_TRY(const std::size_t known, co_await join_network(node));
    if (known > 0) write_note("Looking for the nodes that are nearest to the key.\n");
    KWAAI_CO_TRY(const std::size_t taken, co_await node.put(flags.key, flags.value));
    if (flags.stays && !flags.p2p.is_json) {
        KWAAI_CO_CHECKED(write_out(lines_of_addresses(node)));
    }
    KWAAI_CO_CHECKED(write_out(text_of_put(node, flags, taken)));
    if (flags.stays) write_note("This node hands it out, too, until Ctrl-C.\n");
    co_return Result<>();
}

std::string json_of(const std::string& key, const node::SharedValue& found) {
    json::Writer out;
    out.begin_object().member("key", key).member("value", found.value);
    out.member("publisher", found.publisher.to_text());
    out.member("written_ms", found.written).member("expires", found.expires);
    return out.end().take() + "\n";
}

// The age by two clocks: less than nothing is nothing.
std::string note_of(const node::SharedValue& found) {
    const std::uint64_t now = milliseconds_now();
    const std::uint64_t age_s = now > found.written ? (now - found.written) / 1000 : 0;
    return fmt::format("Signed by {}, {} s ago.\n", found.publisher.to_text(), age_s);
}

Result<> check_publisher(const ValueFlags& flags, const node::SharedValue& found) {
    if (flags.publisher.empty()) return {};
    const auto wanted = p2p::PeerId::parse(flags.publisher);
    if (!wanted)
        return fail(Errc::invalid_argument,
                    "--publisher " + printable(flags.publisher) + " is no peer's id");
    if (found.publisher == *wanted) return {};
    return fail(Errc::not_found,
                "the value of this key is signed by " + found.publisher.to_text() + ", not by " +
                    wanted->to_text());
}

io::Task<Result<>> get(node::P2pNode& node, ValueFlags flags) {
    KWAAI_CO_TRY(const std::size_t known, co_await join_network(node));
    static_cast<void>(known);
    write_note("Looking the key up.\n");
    KWAAI_CO_TRY(const node::SharedValue found, co_await node.get(flags.key));
    KWAAI_CO_CHECKED(check_publisher(flags, found));
    if (flags.p2p.is_json) co_return write_out(json_of(flags.key, found));
    write_note(note_of(found));
    Result<> written = write_answer(found.value + "\n");
    co_return written;
}

}  // namespace

Action add_p2p_put(CLI::App& verb) {
    const auto flags = std::make_shared<ValueFlags>();
    verb.add_option("KEY", flags->key, "1 to 64 bytes; the nodes of a network share their keys")
        ->required();
    verb.add_option("VALUE", flags->value, "At most 8 KiB, with its signature")->required();
    verb.add_flag("--stay",
                  flags->stays,
                  "Keep running as a node of the network that hands the value out, until Ctrl-C; "
                  "listens on this machine where --listen says nothing else");
    add_p2p_flags(verb, flags->p2p);
    verb.footer(
        "The value is signed by this node and kept for 48 hours; who writes last is read.\n\n"
        "Examples:\n"
        "  kwaai p2p put mykey \"hello world\" --bootstrap "
        "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...\n"
        "  kwaai p2p put mykey \"hello world\" --stay --listen 4001");
    return [flags] {
        const P2pDefaults defaults{.is_user = true,
                                   .listens = flags->stays,
                                   .stays = flags->stays,
                                   .needs_network = !flags->stays};
        return run_p2p(
            flags->p2p, defaults, [flags](node::P2pNode& node) { return put(node, *flags); });
    };
}

Action add_p2p_get(CLI::App& verb) {
    const auto flags = std::make_shared<ValueFlags>();
    verb.add_option("KEY", flags->key, "As it was put")->required();
    verb.add_option("--publisher",
                    flags->publisher,
                    "Fail unless this peer signed the value: anybody may write under a key");
    add_p2p_flags(verb, flags->p2p);
    verb.footer(
        "Example:\n"
        "  kwaai p2p get mykey --bootstrap /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...");
    return [flags] {
        return run_p2p(flags->p2p, {.needs_network = true}, [flags](node::P2pNode& node) {
            return get(node, *flags);
        });
    };
}

}  // namespace kwaai::cli
