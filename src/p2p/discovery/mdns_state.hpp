// What mDNS says and hears. Pure: `now` is passed in.
#pragma once
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "codec/buffer.hpp"
#include "io/clock.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::p2p {

/// Sources: libp2p specs, discovery/mdns; RFC 6762; rust-libp2p's times.
struct MdnsLimits {
    std::chrono::seconds query_interval{300};
    std::chrono::seconds time_to_live{360};
    std::chrono::milliseconds answer_pause{1000};  // whoever asks, and however often
    std::size_t packets_max = 50;                  // read in a second; others are dropped
    std::size_t peers_max = 256;                   // remembered
    std::chrono::seconds news_pause{60};           // before the same peer is news again
    std::size_t addresses_max = 16;                // told, and taken of one packet's peer
};

/// A query for everybody who speaks libp2p.
[[nodiscard]] codec::Buffer mdns_query();
[[nodiscard]] bool is_mdns_query(Bytes packet);

/// What answers it: `addresses` (with /p2p) on the local network, as long as there is room in a
/// packet; nothing where none is left. No relays, names, WebSocket or addresses of this machine
/// alone, as go-libp2p.
/// @param name a label that no other node has
[[nodiscard]] codec::Buffer mdns_answer(const std::string& name,
                                        const std::vector<Multiaddr>& addresses,
                                        const MdnsLimits& limits);

/// The addresses of each peer in an answer; nothing where the packet is no answer. No relays, and
/// nothing of the machine that it came from alone.
[[nodiscard]] std::map<PeerId, std::vector<Multiaddr>> mdns_peers(Bytes packet);

/// Bounds what others on the network can have us do.
class MdnsState {
public:
    explicit MdnsState(const MdnsLimits& limits) : limits_(limits) {}

    /// Whether to look at a packet at all.
    [[nodiscard]] bool takes_packet(io::TimePoint now);
    /// Whether this peer is news; it is none for `news_pause` then, nor is anybody while
    /// `peers_max` are remembered.
    [[nodiscard]] bool is_news(const PeerId& peer, io::TimePoint now);

    [[nodiscard]] std::size_t size() const { return known_.size(); }

private:
    MdnsLimits limits_;
    io::TimePoint second_begin_ = io::TimePoint::min();
    std::size_t packets_ = 0;
    std::map<PeerId, io::TimePoint> known_;
};

}  // namespace kwaai::p2p
