// Peers that finish the handshake and then misbehave, for p2p_load.
#pragma once
#include <string>

#include "io/loop.hpp"
#include "io/task.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::load {

/// Runs until it is cancelled, with a new connection whenever the listener ends the old one.
/// @param kind "never-reads": asks for pings and opens streams, and reads nothing.
/// "opens-streams": one SYN after the other. "window-updates": for one stream, without end.
/// "unread-bytes": a window's worth on a thousand streams that nobody reads.
io::Task<void> attack(io::Loop& loop, p2p::Multiaddr address, std::string kind);

}  // namespace kwaai::load
