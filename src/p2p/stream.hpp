// A stream of a connection, as protocols see it.
#pragma once
#include <cstdint>
#include <string>

#include "io/stream.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

/// Codes of go-libp2p (core/network) for why a stream was reset; information for the peer only.
enum class ResetCode : std::uint32_t {  // NOLINT(performance-enum-size): of the wire
    none = 0,
    negotiation_failed = 0x1001,
    resource_limit = 0x1002,
    rate_limited = 0x1003,
    protocol_violation = 0x1004,
    shutdown = 0x1007,
};

/// A multiplexed stream after its protocol was agreed (or proposed: see Host::open). As io::Stream;
/// `close()` ends both directions (a FIN where all was read, else a reset), destroying an open
/// stream resets it. `shutdown_write()` half-closes.
class Stream : public io::Stream {
public:
    /// Ends both directions at once and tells the peer that something went wrong.
    virtual void reset(ResetCode code) = 0;

    /// The authenticated peer at the other end.
    [[nodiscard]] virtual const PeerId& remote_peer() const = 0;
    /// Where the connection leads.
    [[nodiscard]] virtual const Multiaddr& remote_address() const = 0;
    /// The protocol id as it was negotiated or proposed.
    [[nodiscard]] virtual const std::string& protocol() const = 0;
};

}  // namespace kwaai::p2p
