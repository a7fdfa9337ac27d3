// Which connections are given up when a node has more than it needs (libp2p.md §1.26, connmgr).
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/clock.hpp"
#include "p2p/bounds/resource_manager.hpp"
#include "p2p/limits.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

/// Pure: `now` is passed in. Above Limits::connections_high the connections that nobody uses and
/// that are not protected are to be closed, the one unused for longest first: down to
/// connections_low those that are expendable, then those unused for Limits::connection_grace, then
/// down to connections_high any. Where all places are taken, a tenth of those is freed on which
/// only the peer has streams, expendable ones first.
class ConnectionManager {
public:
    /// Names a connection; never looked into.
    using Key = const void*;

    explicit ConnectionManager(const Limits& limits) : limits_(limits) {}

    void opened(Key key, const PeerId& peer, io::TimePoint now);
    void closed(Key key);
    void stream_opened(Key key, Direction direction);
    void stream_closed(Key key, Direction direction);

    /// Whether the connection is of less use than others (design decision 12: its peer does not
    /// belong to the network).
    void set_expendable(Key key, bool is_expendable);

    /// Connections to a protected peer are never closed. It is, while it has any tag.
    void protect(const PeerId& peer, std::string tag);
    /// Whether other tags protect it still.
    bool unprotect(const PeerId& peer, std::string_view tag);
    [[nodiscard]] bool is_protected(const PeerId& peer) const;

    /// Those to close now.
    [[nodiscard]] std::vector<Key> to_close(io::TimePoint now);

    [[nodiscard]] std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        PeerId peer;
        std::size_t streams_inbound = 0;
        std::size_t streams_outbound = 0;
        bool is_expendable = false;
        std::uint64_t used = 0;                     // when last, as a number that rises
        std::optional<io::TimePoint> unused_since;  // as noticed; nothing while it is used
    };

    Limits limits_;
    std::unordered_map<Key, Entry> entries_;
    std::unordered_map<PeerId, std::set<std::string, std::less<>>> tags_;
    std::uint64_t uses_ = 0;
};

}  // namespace kwaai::p2p
