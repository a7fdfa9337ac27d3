// What changes while nodes are connected: a protocol that comes later, and a peer that leaves.
#pragma once
#include "io/clock.hpp"
#include "io/task.hpp"
#include "json/writer.hpp"
#include "p2p/host.hpp"

namespace kwaai::interop {

/// Serves what peers/README.md says of news and leaving. `host` outlives its streams.
void add_change_services(p2p::Host& host);

/// Asks `peer` for news, waits until identify push tells of the new protocol, whose id has no
/// slash, and uses it: "push_seen", "slashless_ok".
io::Task<Result<>> see_news(p2p::Host& host, io::Clock& clock, p2p::PeerId peer, json::Writer& out);

/// Asks `peer` to leave, and waits until it has: "leave_seen".
io::Task<Result<>> see_leave(p2p::Host& host,
                             io::Clock& clock,
                             p2p::PeerId peer,
                             json::Writer& out);

}  // namespace kwaai::interop
