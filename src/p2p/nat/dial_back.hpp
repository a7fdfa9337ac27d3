// Dialling peers to see whether they can be reached, from an identity that they do not know.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "io/clock.hpp"
#include "io/event.hpp"
#include "io/network.hpp"
#include "io/task.hpp"
#include "io/task_group.hpp"
#include "p2p/host.hpp"
#include "p2p/nat/autonat_v2_wire.hpp"

namespace kwaai::p2p {

struct DialBackLimits {
    std::chrono::milliseconds dial_timeout{10000};  // with its handshakes
    std::chrono::milliseconds reply_timeout{5000};  // for the nonce to arrive
};

/// A second host that never listens: an existing connection of the node, or a NAT's memory of one,
/// would answer for an address that nobody else can reach. One peer is dialled for one request at
/// a time, and is hung up on afterwards. Confined to the loop's thread.
class DialBack {
public:
    /// `network` and `clock` outlive it. `options` have an identity of their own.
    DialBack(io::Network& network,
             io::Clock& clock,
             HostOptions options,
             const DialBackLimits& limits);
    DialBack(const DialBack&) = delete;
    DialBack& operator=(const DialBack&) = delete;
    /// run() has ended.
    ~DialBack();

    /// What is below works while it runs, until cancelled.
    io::Task<void> run();

    /// Dials all of them at the same time; the first that answered as this peer, if any.
    io::Task<std::optional<Multiaddr>> reach_any(PeerId peer, std::vector<Multiaddr> addresses);
    /// Dials it there and hands over the nonce, as AutoNAT v2 wants it.
    io::Task<autonat_v2::DialStatus> hand_over(PeerId peer, Multiaddr address, std::uint64_t nonce);

private:
    class Turn;
    io::Task<void> wait_for_turn(PeerId peer);
    io::Task<Result<PeerId>> dial(Multiaddr address);
    io::Task<void> reach(PeerId peer, Multiaddr address, std::optional<Multiaddr>& reached);
    static io::Task<void> reach_all(io::TaskGroup& group,
                                    DialBack& self,
                                    const PeerId& peer,
                                    const std::vector<Multiaddr>& addresses,
                                    std::optional<Multiaddr>& reached);
    io::Task<Result<>> send_nonce(PeerId peer, Multiaddr address, std::uint64_t nonce);

    io::Clock& clock_;
    DialBackLimits limits_;
    std::unique_ptr<Host> host_;
    std::set<PeerId> busy_;
    io::Event freed_;
};

}  // namespace kwaai::p2p
