// One authenticated, multiplexed connection of a host.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "io/event.hpp"
#include "p2p/bounds/resource_manager.hpp"
#include "p2p/bounds/source_limiter.hpp"
#include "p2p/circuit.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/muxer/muxed_session.hpp"
#include "p2p/peer_id.hpp"
#include "p2p/protocol/identify_wire.hpp"

namespace kwaai::p2p {

/// What a connection counts for.
struct ConnectionPlace {
    std::shared_ptr<ConnectionScope> scope;
    SourceLease source;  // inbound ones
};

/// An inbound stream that waits for its turn to agree on a protocol.
struct WaitingStream {
    std::unique_ptr<MuxedStream> muxed;
    std::shared_ptr<StreamScope> scope;
    std::shared_ptr<void> lease;  // of its place, which goes with it
};

/// Shared by the host, which runs it, and by the streams on it.
struct Connection {
    Connection(PeerId peer,
               Multiaddr remote_address,
               bool is_outbound,
               ConnectionPlace some_place,
               std::unique_ptr<MuxedSession> some_session)
        : remote(std::move(peer)),
          address(std::move(remote_address)),
          is_inbound(!is_outbound),
          place(std::move(some_place)),
          session(std::move(some_session)) {}

    PeerId remote;
    Multiaddr address;  // where it leads, with /p2p
    bool is_inbound;
    bool is_beside_listener = false;  // dialled from a port that the host listens on
    ConnectionPlace place;
    std::optional<CircuitLimit> limit;  // where a relay sets one
    std::unique_ptr<MuxedSession> session;
    std::deque<WaitingStream> waiting;
    std::optional<IdentifyMessage> identity;  // once identify has answered
    bool is_identify_over = false;            // answered or failed
    bool is_record_signed = false;            // identity's addresses are from a signed record
    io::Event identified;
};

}  // namespace kwaai::p2p
