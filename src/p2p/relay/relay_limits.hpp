// What a relay grants, and what its peers may make it do. Sources: libp2p.md §1.15 and §4.2.
#pragma once
#include <chrono>
#include <cstddef>
#include <optional>

#include "p2p/circuit.hpp"

namespace kwaai::p2p::relay {

struct RelayLimits {
    // Messages
    std::size_t message_bytes_max = 4 << 10;  // read
    std::size_t addresses_max = 16;           // read of one peer or reservation; sent of ourselves

    // Reservations: one of each peer
    std::size_t reservations_max = 128;
    std::size_t reservations_per_ip_max = 8;  // one IPv4 address, or one /56 of IPv6
    std::chrono::seconds reservation_duration{3600};

    // Circuits
    std::size_t circuits_max = 256;
    std::size_t circuits_per_peer_max = 16;  // that it opened or is reached by
    /// Of each; nothing: without limits.
    std::optional<CircuitLimit> circuit{
        CircuitLimit{.duration = std::chrono::seconds(120), .bytes = 128 << 10}};
    std::size_t buffer_bytes = 2 << 10;  // of each direction of a circuit

    // Requests, each a stream
    std::size_t requests_max = 512;                // under way
    std::size_t requests_per_peer_max = 32;        // the same of one peer
    std::size_t requests_of_peer_per_minute = 30;  // tokens that come back evenly
    std::size_t requests_of_ip_per_minute = 60;
    std::size_t rates_max = 4096;  // peers and networks that are remembered for that
    std::chrono::milliseconds request_timeout{60000};  // until the request has come
    std::chrono::milliseconds connect_timeout{30000};  // until the destination has answered
};

/// What a node believes relays, and does for circuits to itself.
struct RelayClientLimits {
    std::size_t message_bytes_max = 4 << 10;  // read
    std::size_t addresses_max = 16;           // read of one reservation
    std::size_t incoming_max = 32;            // circuits to us whose handshake is under way
    std::chrono::seconds reservation_min{30};
    std::chrono::seconds reservation_max = std::chrono::hours(24);
    std::chrono::milliseconds answer_timeout{10000};
};

}  // namespace kwaai::p2p::relay
