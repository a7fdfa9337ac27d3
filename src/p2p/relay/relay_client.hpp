// Reaching peers through relays, and being reached through them.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "io/clock.hpp"
#include "io/event.hpp"
#include "p2p/host.hpp"
#include "p2p/relay/relay_limits.hpp"
#include "p2p/relay/relay_wire.hpp"

namespace kwaai::p2p::relay {

/// A place at a relay, which lasts as long as the connection to it, and at most until it expires.
struct Reservation {
    PeerId relay;
    std::chrono::seconds lifetime{0};   // from when it was granted
    std::vector<Multiaddr> addresses;   // of this node, "/…/p2p/RELAY/p2p-circuit"
    std::optional<CircuitLimit> limit;  // of circuits to it
};

struct RelayClientOptions {
    RelayClientLimits limits;
    /// Of the wall clock, since 1970.
    std::function<std::uint64_t()> unix_seconds;
    /// Where a host that does not listen begins to before it dials its first circuit: only who
    /// listens can be met directly (DCUtR). Errors are of no interest.
    std::vector<Multiaddr> listens;
};

/// From its construction on, the host dials addresses with /p2p-circuit, and takes the circuits
/// that come from relays at which it has reserved. Confined to the loop's thread.
class RelayClient {
public:
    /// `host` and `clock` outlive it, and the host's run() has ended before its destruction.
    RelayClient(Host& host, io::Clock& clock, RelayClientOptions options);
    RelayClient(const RelayClient&) = delete;
    RelayClient& operator=(const RelayClient&) = delete;
    ~RelayClient();

    /// Makes sure of a direct connection to the relay that `address` ends with, dialled from a port
    /// that the host listens on where there is one. Errors as Host::connect.
    io::Task<Result<PeerId>> reach(Multiaddr address);

    /// Reserves, or renews, at a relay that is connected directly. Errors of Host::open;
    /// `unavailable` with the relay's reason, `malformed` for a reservation that is none,
    /// `timed_out`.
    io::Task<Result<Reservation>> reserve(PeerId relay);

    /// Circuits from there are no longer taken.
    void release(const PeerId& relay) { reserved_.erase(relay); }

private:
    [[nodiscard]] bool is_reached(const PeerId& relay) const;
    void begin_to_listen();
    io::Task<Result<Circuit>> dial(Multiaddr address);
    io::Task<Result<Circuit>> ask_relay(PeerId relay, PeerId destination);
    io::Task<Result<HopMessage>> request(Stream& stream, HopMessage message);
    io::Task<Result<Reservation>> request_place(PeerId relay);
    [[nodiscard]] Result<Reservation> check(const PeerId& relay, HopMessage reply) const;
    [[nodiscard]] std::optional<Multiaddr> address_of(const PeerId& relay) const;
    io::Task<void> serve_stop(std::unique_ptr<Stream> stream);
    io::Task<Result<StopMessage>> take_request(Stream& stream);

    Host& host_;
    io::Clock& clock_;
    RelayClientOptions options_;
    std::set<PeerId> reserved_;
    std::set<PeerId> reaching_;
    io::Event reached_;
    std::size_t incoming_ = 0;
};

}  // namespace kwaai::p2p::relay
