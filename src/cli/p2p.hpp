// The verbs of `kwaai p2p`, and what they share: flags, a node made from them, and work beside it.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "cli/verbs.hpp"
#include "json/writer.hpp"
#include "node/identity.hpp"
#include "node/p2p_node.hpp"
#include "p2p/host.hpp"

namespace kwaai::cli {

Action add_p2p_info(CLI::App& verb);
Action add_p2p_peers(CLI::App& verb);
Action add_p2p_connect(CLI::App& verb);
Action add_p2p_put(CLI::App& verb);
Action add_p2p_get(CLI::App& verb);
Action add_p2p_provide(CLI::App& verb);
Action add_p2p_find(CLI::App& verb);
Action add_p2p_perf(CLI::App& verb);
Action add_p2p_relay(CLI::App& verb);

struct P2pFlags {
    std::vector<std::string> bootstrap;
    std::vector<std::string> listen;
    std::string identity;
    std::string tls_authorities;  // a file
    std::string kad_protocol = p2p::kad::kKadProtocol;
    bool is_json = false;
};

/// `--bootstrap --listen --identity --kad-protocol --tls-authorities --json`. `flags` must outlive
/// the parse.
void add_p2p_flags(CLI::App& verb, P2pFlags& flags);

/// What a verb's node is like where no flag says so.
struct P2pDefaults {
    bool is_user = false;  // has the user's identity; else one for this run
    bool listens = false;  // on this machine alone
    bool serves_perf = false;
    bool stays = false;          // until Ctrl-C, once its work is done
    bool needs_network = false;  // makes no sense without --bootstrap
    node::RelayOptions relaying;
};

/// The key of `file`; where that is empty the user's, or, with a note, one for this run where
/// another node that runs has that.
[[nodiscard]] Result<node::Identity> choose_identity(const std::string& file);

/// The node that the flags ask for. Errors of Identity and P2pNode::make; `Errc::invalid_argument`.
[[nodiscard]] Result<std::unique_ptr<node::P2pNode>> make_p2p_node(io::Loop& loop,
                                                                   const P2pFlags& flags,
                                                                   const P2pDefaults& defaults);

/// Runs `work` beside such a node; the exit status. Where it takes long, stderr says what is done.
int run_p2p(const P2pFlags& flags, const P2pDefaults& defaults, node::P2pNode::Work work);

/// Connects to the bootstrap nodes, with a word on stderr. Errors of P2pNode::join.
io::Task<Result<std::size_t>> join_network(node::P2pNode& node);

/// Where it listens, a line each, or as member "addresses" of the object that `out` has open.
[[nodiscard]] std::string lines_of_addresses(const node::P2pNode& node);
void write_addresses(json::Writer& out, const std::vector<p2p::Multiaddr>& addresses);
/// Either to stdout. Errors of write_out.
[[nodiscard]] Result<> write_addresses_of(const node::P2pNode& node, bool is_json);

/// "12D3KooW… is kwaai/0.1.0, 7 protocols": text of a peer does not command the terminal.
[[nodiscard]] std::string line_of_peer(const p2p::PeerInfo& info);
/// Members "peer_id", "agent", "protocols", "addresses" .. of the object that `out` has open.
void write_peer(json::Writer& out, const p2p::PeerInfo& info);

[[nodiscard]] double in_milliseconds(std::chrono::nanoseconds time);

}  // namespace kwaai::cli
