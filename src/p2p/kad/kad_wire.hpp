// The message of kad-dht (libp2p specs, kad-dht; libp2p.md §1.13).
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "p2p/kad/dht_limits.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p::kad {

enum class MessageType : std::uint8_t {
    put_value = 0,
    get_value = 1,
    add_provider = 2,
    get_providers = 3,
    find_node = 4,
    ping = 5,
};

enum class ConnectionType : std::uint8_t {
    not_connected = 0,
    connected = 1,
    can_connect = 2,
    cannot_connect = 3,
};

/// Peer { id = 1, addrs = 2, connection = 3 }.
struct WirePeer {
    PeerId peer;
    std::vector<Multiaddr> addresses;
    ConnectionType connection = ConnectionType::not_connected;
};

/// Record { key = 1, value = 2 }; timeReceived (5) is not read and not sent.
struct WireRecord {
    codec::Buffer key;
    codec::Buffer value;
};

/// Message { type = 1, key = 2, record = 3, closerPeers = 8, providerPeers = 9 }.
struct Message {
    MessageType type = MessageType::put_value;
    codec::Buffer key;
    std::optional<WireRecord> record;
    std::vector<WirePeer> closer;
    std::vector<WirePeer> providers;
};

/// The length and the message. Peers from the ends of the lists are left out until it has at most
/// `sent_bytes_max` bytes; first those that are closer, which others know, too. Of each peer at
/// most `addresses_sent_max` addresses.
[[nodiscard]] codec::Buffer encode_message(const Message& message, const DhtLimits& limits);

/// `Errc::malformed`; `limit_exceeded` for a key or value past the limits. Peers whose id is none,
/// that are longer than `peer_bytes_max` or beyond `peers_max` are left out, as are addresses that
/// cannot be parsed or are beyond `addresses_max`. A peer that comes twice is read once.
[[nodiscard]] Result<Message> decode_message(Bytes bytes, const DhtLimits& limits);

}  // namespace kwaai::p2p::kad
