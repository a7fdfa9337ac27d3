// Who has reserved at a relay, who is connected through it, and how much more is granted.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "io/clock.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"
#include "p2p/relay/relay_limits.hpp"
#include "p2p/relay/relay_wire.hpp"

namespace kwaai::p2p::relay {

/// What counts as one address for the limits: an IPv4 address or the /56 of an IPv6 one, as bytes;
/// empty for loopback and for what is no IP address, which those limits leave alone.
[[nodiscard]] std::string source_of(const Multiaddr& address);

/// Pure: `now` is passed in. Holds at most what its limits say.
class RelayState {
public:
    explicit RelayState(const RelayLimits& limits) : limits_(limits) {}

    /// Whether one more request of this peer is answered; end_request() follows then.
    [[nodiscard]] bool begin_request(const PeerId& peer,
                                     const std::string& source,
                                     io::TimePoint now);
    void end_request(const PeerId& peer);

    /// Grants, or renews. `ok` or `reservation_refused`.
    [[nodiscard]] Status reserve(const PeerId& peer, const std::string& source, io::TimePoint now);
    [[nodiscard]] bool has_reservation(const PeerId& peer, io::TimePoint now) const;

    /// The peer is no longer connected.
    void forget(const PeerId& peer) { reservations_.erase(peer); }

    /// `ok` (end_circuit() follows then), `permission_denied` from a peer to itself,
    /// `no_reservation`, `resource_limit_exceeded`.
    [[nodiscard]] Status begin_circuit(const PeerId& source,
                                       const PeerId& destination,
                                       io::TimePoint now);
    void end_circuit(const PeerId& source, const PeerId& destination);

    [[nodiscard]] std::size_t reservation_count() const { return reservations_.size(); }

    [[nodiscard]] std::size_t circuit_count() const { return circuits_; }

private:
    struct Reservation {
        std::string source;
        io::TimePoint expires;
    };

    struct Rate {
        double tokens = 0;
        io::TimePoint counted_at;
    };

    void expire(io::TimePoint now);
    [[nodiscard]] bool take_token(const std::string& key,
                                  std::size_t per_minute,
                                  io::TimePoint now);
    void forget_rates(io::TimePoint now);

    RelayLimits limits_;
    std::map<PeerId, Reservation> reservations_;
    std::map<PeerId, std::size_t> circuits_of_;
    std::size_t circuits_ = 0;
    std::map<PeerId, std::size_t> requests_of_;
    std::size_t requests_ = 0;
    std::map<std::string, Rate> rates_;
};

}  // namespace kwaai::p2p::relay
