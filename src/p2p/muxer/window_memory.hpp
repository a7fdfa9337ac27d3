// How large the receive windows of a peer's streams have grown, from one connection to the next
// (libp2p.md §5.3).
#pragma once
#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>

#include "p2p/limits.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

/// Pure. Holds at most Limits::windows_remembered_max peers, of which the one unused for longest
/// makes room. What it gives is a wish: a session grants it within its own bounds of memory.
class WindowMemory {
public:
    explicit WindowMemory(const Limits& limits) : limits_(limits) {}

    /// A session with this peer has grown its windows to so much, up to Limits::window_max. Nothing
    /// is kept of windows that never grew, so that whoever only connects takes no place.
    void learn(const PeerId& peer, std::uint32_t window);
    /// The largest that was learned; 0 where the peer is not known.
    [[nodiscard]] std::uint32_t recall(const PeerId& peer);

    [[nodiscard]] std::size_t size() const { return places_.size(); }

private:
    using Entries = std::list<std::pair<PeerId, std::uint32_t>>;

    Limits limits_;
    Entries entries_;  // unused for longest first
    std::unordered_map<PeerId, Entries::iterator> places_;
};

}  // namespace kwaai::p2p
