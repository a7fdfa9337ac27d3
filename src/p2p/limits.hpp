// What one peer, and all of them, may make us do. Each number has a test; sources are libp2p.md §1
// and §4.2.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace kwaai::p2p {

struct Limits {
    // Connections
    std::size_t connections_max = 512;
    std::size_t connections_per_peer_max = 8;
    std::size_t pending_inbound_max = 64;        // handshakes under way
    std::size_t pending_inbound_per_ip_max = 8;  // loopback is exempt
    std::chrono::milliseconds handshake_timeout{10000};
    std::chrono::milliseconds dial_timeout{5000};  // one address
    std::size_t dials_per_peer_max = 8;            // addresses tried for one connect()
    std::size_t addresses_per_peer = 64;
    std::size_t known_peers_max = 4096;
    std::chrono::milliseconds back_off_first{5000};
    std::chrono::milliseconds back_off_max{300000};

    // Streams
    std::size_t streams_per_connection_max = 1000;  // inbound
    std::size_t streams_per_peer_max = 1000;        // inbound, over all its connections
    std::size_t streams_max = 8192;                 // inbound, of all peers
    std::size_t unacknowledged_streams_max = 256;   // outbound, before open() waits
    std::chrono::milliseconds negotiation_timeout{10000};
    std::size_t proposals_max = 32;  // refused protocols before a stream is reset

    // Yamux
    std::uint32_t window_initial = 256 << 10;     // given by the protocol
    std::uint32_t window_max = 16 << 20;          // of one stream
    std::uint64_t window_total_max = 32 << 20;    // of all streams of a connection
    std::size_t frame_bytes_max = 64 << 10;       // payload of a frame that we send
    std::size_t control_frames_max = 1024;        // waiting to be sent
    std::chrono::milliseconds keep_alive{30000};  // a yamux ping when nothing else happened
    std::chrono::milliseconds write_stall_max{
        30000};  // nothing could be written: the connection is dead

    // Messages
    std::size_t identify_bytes_max = 8 << 10;  // read; ours stay below 4096
    std::size_t identify_protocols_max = 1024;
};

}  // namespace kwaai::p2p
