// The messages of circuit relay v2, and the vouchers in them (libp2p specs, circuit-v2; libp2p.md
// §1.15).
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "crypto/key.hpp"
#include "p2p/circuit.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p::relay {

/// Spoken by relays.
inline constexpr const char* kHopProtocol = "/libp2p/circuit/relay/0.2.0/hop";
/// Spoken by who can be reached through relays.
inline constexpr const char* kStopProtocol = "/libp2p/circuit/relay/0.2.0/stop";

enum class Status : std::uint32_t {  // NOLINT(performance-enum-size): of the wire
    none = 0,
    ok = 100,
    reservation_refused = 200,
    resource_limit_exceeded = 201,
    permission_denied = 202,
    connection_failed = 203,
    no_reservation = 204,
    malformed_message = 400,
    unexpected_message = 401,
};

/// In words; "status 123" for those that are none of the above.
[[nodiscard]] std::string to_text(Status status);

/// Reservation { expire = 1, addrs = 2, voucher = 3 }.
struct WireReservation {
    std::uint64_t expires = 0;         // seconds since 1970
    std::vector<Multiaddr> addresses;  // of the relay, with /p2p and mostly without /p2p-circuit
    codec::Buffer voucher;             // an envelope
};

enum class HopType : std::uint8_t { reserve = 0, connect = 1, status = 2 };

/// HopMessage { type = 1, peer = 2 { id = 1, addrs = 2 }, reservation = 3, limit = 4 { duration =
/// 1, data = 2 }, status = 5 }. The addresses of a peer are neither read nor sent.
struct HopMessage {
    HopType type = HopType::reserve;
    std::optional<PeerId> peer;
    std::optional<WireReservation> reservation;
    std::optional<CircuitLimit> limit;
    Status status = Status::none;
};

enum class StopType : std::uint8_t { connect = 0, status = 1 };

/// StopMessage { type = 1, peer = 2, limit = 3, status = 4 }.
struct StopMessage {
    StopType type = StopType::connect;
    std::optional<PeerId> peer;
    std::optional<CircuitLimit> limit;
    Status status = Status::none;
};

/// The length and the message; the type is always written.
[[nodiscard]] codec::Buffer encode_hop(const HopMessage& message);
[[nodiscard]] codec::Buffer encode_stop(const StopMessage& message);

/// `Errc::malformed`, also for a message without a type or with one that is not known. Of
/// reservations the first `addresses_max` addresses that can be parsed are read.
[[nodiscard]] Result<HopMessage> decode_hop(Bytes bytes, std::size_t addresses_max);
[[nodiscard]] Result<StopMessage> decode_stop(Bytes bytes);

/// A relay's word that a peer may be reached through it: { relay = 1, peer = 2, expiration = 3 }.
struct Voucher {
    PeerId relay;
    PeerId peer;
    std::uint64_t expires = 0;  // seconds since 1970
};

/// An envelope of the domain "libp2p-relay-rsvp", type 03 02.
[[nodiscard]] codec::Buffer seal_voucher(const crypto::PrivateKey& key, const Voucher& voucher);

/// `Errc::malformed`, also where the signer is not the voucher's own relay.
[[nodiscard]] Result<Voucher> open_voucher(Bytes envelope);

}  // namespace kwaai::p2p::relay
