// Relays and hole punching of a node that other libraries' nodes are tested against.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/clock.hpp"
#include "io/task_group.hpp"
#include "p2p/host.hpp"
#include "p2p/relay/auto_relay.hpp"
#include "p2p/relay/hole_puncher.hpp"
#include "p2p/relay/relay_client.hpp"
#include "p2p/relay/relay_service.hpp"

namespace kwaai::interop {

struct RelayNodeOptions {
    std::string serves;                   // limited or unlimited: be a relay whose circuits are
    std::vector<p2p::Multiaddr> reserve;  // relays to be reached through
    bool is_punching = false;             // turns relayed connections into direct ones
    /// Gets the relayed addresses once there are some, and whenever they change.
    std::function<void(const std::vector<p2p::Multiaddr>& relayed)> on_reached;
};

/// Dials through relays; the rest as its options say.
class RelayNode {
public:
    /// `host` and `clock` outlive it.
    RelayNode(p2p::Host& host, io::Clock& clock, RelayNodeOptions options);
    RelayNode(const RelayNode&) = delete;
    RelayNode& operator=(const RelayNode&) = delete;
    ~RelayNode();

    /// Reserves and punches until the group is cancelled.
    void start(io::TaskGroup& group);

private:
    void tell(const std::vector<p2p::Multiaddr>& relayed);
    [[nodiscard]] std::vector<p2p::Multiaddr> choose(std::vector<p2p::Multiaddr> listening) const;

    p2p::Host& host_;
    RelayNodeOptions options_;
    p2p::relay::RelayClient client_;
    std::optional<p2p::relay::RelayService> service_;
    p2p::relay::HolePuncher puncher_;
    p2p::relay::AutoRelay keeper_;
};

}  // namespace kwaai::interop
