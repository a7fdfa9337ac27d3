// What `kwaai serve` is asked for, and what that means.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/flags.hpp"
#include "cli/swarm_flags.hpp"
#include "io/address.hpp"
#include "node/traversal.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::cli {

struct ServeFlags {
    EngineFlags engine;
    SwarmFlags swarm;
    std::optional<std::string> blocks;  // A:B
    std::vector<std::string> listen;
    std::string identity;
    std::string tls_certificate;  // files
    std::string tls_key;
    bool maps_ports = false;
    std::vector<std::string> relays;
    bool is_relayed_only = false;
    std::string relay_service = "auto";
    std::optional<std::string> http;
};

/// What a node offers.
struct ServePlan {
    bool serves_blocks = false;
    std::optional<inference::BlockRange> range;  // none: all blocks
    std::vector<p2p::Multiaddr> listen;          // at least one where it serves blocks
    node::RelayOptions relaying;
    std::optional<io::Address> http;
    std::vector<petals::PeerAddress> peers;
};

/// Blocks are served where --blocks or --listen is given, by default on loopback; HTTP where --http
/// is given, or else without --blocks. `Errc::invalid_argument` for flags that make no sense.
[[nodiscard]] Result<ServePlan> plan_serving(const ServeFlags& flags);

/// Whether only this machine reaches `address`: 127.0.0.0/8, ::1 or localhost.
[[nodiscard]] bool is_loopback(const io::Address& address);

}  // namespace kwaai::cli
