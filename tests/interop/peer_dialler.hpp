// Dials another node and tries all that peers/README.md names.
#pragma once
#include <string>

#include "io/clock.hpp"
#include "p2p/host.hpp"
#include "p2p/kad/dht.hpp"

namespace kwaai::interop {

struct DialFlags {
    std::string address;  // with /p2p
    unsigned pings = 5;
    unsigned echo_mib = 0;
    unsigned streams = 0;
    unsigned perf_mib = 0;
    unsigned perf_streams = 1;  // that share perf_mib
    unsigned requests = 0;
    unsigned first_bytes = 0;
    bool tries_resets = false;
    bool sees_changes = false;  // at last: the peer leaves
    /// Half-close only once all came back: Hivemind's daemon ends both directions then.
    bool ends_last = false;
    /// The same for a few bytes alone: js-libp2p's QUIC loses an end that comes right behind them.
    bool short_ends_last = false;
    std::string kad_peer;  // to look for in `table`
    p2p::kad::Dht* table = nullptr;
    bool waits_for_direct = false;  // after a relayed connection
};

/// One JSON object, as peers/README.md describes it; what failed is in it.
io::Task<std::string> dial_and_try(p2p::Host& host, io::Clock& clock, DialFlags flags);

}  // namespace kwaai::interop
