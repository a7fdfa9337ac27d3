// Knows a node's own addresses and has its host tell them.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "io/clock.hpp"
#include "io/event.hpp"
#include "io/task.hpp"
#include "p2p/host.hpp"
#include "p2p/nat/address_parts.hpp"
#include "p2p/nat/address_state.hpp"

namespace kwaai::p2p {

struct AddressManagerOptions {
    AddressLimits limits;
    /// Where the owner says that the node is reached; without /p2p.
    std::vector<Multiaddr> declared;
    /// Peers are told of relays alone: none of this machine's addresses.
    bool is_relayed_only = false;
    /// The machine's where empty.
    Interfaces interfaces;
    /// Interfaces come and go, graces and lifetimes end: how often that is looked at.
    std::chrono::seconds poll_interval{15};
};

/// Chooses what `host` tells (Host::set_told_addresses) and learns from what peers observe.
/// Confined to the loop's thread.
class AddressManager {
public:
    /// `host` and `clock` outlive it.
    AddressManager(Host& host, io::Clock& clock, AddressManagerOptions options);
    AddressManager(const AddressManager&) = delete;
    AddressManager& operator=(const AddressManager&) = delete;
    /// The host tells where it listens again.
    ~AddressManager();

    /// Notices what changes with time, until cancelled.
    io::Task<void> run();

    /// As in AddressState.
    void set_addresses(AddressSource source, const std::vector<Multiaddr>& addresses);
    void set_verdict(const Multiaddr& address, Reachability verdict);
    void set_node_verdict(Reachability verdict);

    /// As in AddressState, now; all without /p2p.
    [[nodiscard]] std::vector<Multiaddr> told() const;
    [[nodiscard]] std::vector<Multiaddr> external() const;
    [[nodiscard]] std::vector<Multiaddr> candidates() const;
    [[nodiscard]] Reachability reachability() const;
    [[nodiscard]] Reachability verdict(const Multiaddr& address) const;
    [[nodiscard]] bool is_own(const Multiaddr& address) const;

    /// Rises whenever told() or reachability() has become another one.
    [[nodiscard]] std::uint64_t epoch() const { return epoch_; }

    /// Returns once epoch() is another than `known`.
    io::Task<void> wait_for_change(std::uint64_t known);

private:
    void read_interfaces(const std::vector<Multiaddr>& listening);
    void refresh();

    Host& host_;
    io::Clock& clock_;
    AddressManagerOptions options_;
    AddressState state_;
    std::vector<Multiaddr> listening_;  // of the host
    std::vector<Multiaddr> last_told_;
    Reachability last_reachability_ = Reachability::unknown;
    std::uint64_t epoch_ = 0;
    io::Event changed_;
    std::shared_ptr<void> observing_;
};

}  // namespace kwaai::p2p
