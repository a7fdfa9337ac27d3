// Keeps a node that cannot be dialled reachable: holds reservations at a few relays.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "io/clock.hpp"
#include "io/event.hpp"
#include "io/task_group.hpp"
#include "p2p/host.hpp"
#include "p2p/relay/relay_candidates.hpp"
#include "p2p/relay/relay_client.hpp"

namespace kwaai::p2p::relay {

struct AutoRelayOptions {
    /// Tried first, each with /p2p.
    std::vector<Multiaddr> relays;
    /// Connected peers that speak hop are tried, too.
    bool is_discovering = true;
    std::size_t wanted = 2;  // reservations
    CandidateLimits candidates;
    std::chrono::milliseconds look_interval{30000};  // for candidates whose back-off is over
    /// Called whenever the addresses change with all of them, "/…/p2p/RELAY/p2p-circuit".
    std::function<void(std::vector<Multiaddr> addresses)> told;
    /// A relay of `relays` could not be reached, or refused; it is tried again. May be empty.
    std::function<void(const Error& error)> on_failure;
};

/// Confined to the loop's thread.
class AutoRelay {
public:
    /// `host`, `clock` and `client` outlive it.
    AutoRelay(Host& host, io::Clock& clock, RelayClient& client, AutoRelayOptions options);
    AutoRelay(const AutoRelay&) = delete;
    AutoRelay& operator=(const AutoRelay&) = delete;
    ~AutoRelay();

    /// Reserves, renews after three quarters of a reservation's lifetime, and replaces relays that
    /// are lost, until cancelled; the addresses are none then.
    io::Task<void> run();

    /// Where the node is reached now, "/…/p2p/RELAY/p2p-circuit".
    [[nodiscard]] std::vector<Multiaddr> addresses() const;

    /// Reservations that it holds.
    [[nodiscard]] std::size_t place_count() const { return held_.size(); }

private:
    friend class HeldPlace;

    void discover();
    static io::Task<void> work(io::TaskGroup& group, AutoRelay& self);
    io::Task<void> wait_for_change();
    io::Task<void> keep(Multiaddr address);
    io::Task<void> wait_for_loss(PeerId relay);
    void hold(Reservation place);
    void tell_failure(const PeerId& relay, const Error& error) const;
    void let_go(const PeerId& relay);

    Host& host_;
    io::Clock& clock_;
    RelayClient& client_;
    AutoRelayOptions options_;
    RelayCandidates candidates_;
    std::map<PeerId, Reservation> held_;
    std::set<PeerId> kept_;  // by keep()
    std::set<PeerId> lost_;  // of those
    io::Event changed_;
    std::shared_ptr<void> observing_;
};

}  // namespace kwaai::p2p::relay
