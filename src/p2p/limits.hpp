// What one peer, and all of them, may make us do. Each number has a test; sources are libp2p.md §1,
// §1.26 (what go-libp2p takes) and §4.2 (our rules). docs/protocols/limits.md names them all.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace kwaai::p2p {

struct Limits {
    // Connections: all, those of one peer, and those whose handshake is under way
    std::size_t connections_max = 512;
    std::size_t connections_inbound_max = 448;  // the rest is for those that we dial
    std::size_t connections_per_peer_max = 8;
    std::size_t pending_inbound_max = 64;        // handshakes under way
    std::size_t pending_inbound_per_ip_max = 8;  // loopback is exempt
    std::size_t descriptors_max = 1024;          // connections that hold one, open and pending
    std::chrono::milliseconds handshake_timeout{10000};
    // Where all are under way, the oldest of the place with most ends for one from another place
    std::chrono::milliseconds pending_grace{2000};    // but not before
    std::size_t noise_handshake_bytes_max = 4096;     // of one message: half with an RSA-8192 key
    std::size_t tls_handshake_bytes_max = 32 << 10;   // in all: twice a certificate of RSA-8192
    std::size_t rsa_verify_burst = 128;               // signatures of strangers; of RSA-8192 each
    std::chrono::milliseconds rsa_verify_period{10};  // takes 0.3 ms: 3 % of a core

    // Where connections come from; loopback and trusted networks are exempt
    std::size_t connections_per_ip_max = 8;         // inbound, of an IPv4 address or an IPv6 /56
    std::size_t connections_per_ip6_48_max = 64;    // inbound
    std::size_t accept_burst = 16;                  // of an IPv4 address or an IPv6 /56
    std::chrono::milliseconds accept_period{5000};  // then one in so long
    std::size_t accept_sources_max = 4096;          // that are remembered

    // Which connections are closed when there are many
    std::size_t connections_low = 160;                  // trimming ends here
    std::size_t connections_high = 192;                 // and begins above
    std::chrono::milliseconds connection_grace{20000};  // unused for less: left alone
    std::chrono::milliseconds trim_period{10000};

    // Dialling
    std::chrono::milliseconds dial_timeout{5000};         // one address
    std::chrono::milliseconds dial_total_timeout{15000};  // all addresses of a peer
    std::chrono::milliseconds dial_local_timeout{5000};   // the same, where all of them are near
    std::chrono::milliseconds circuit_timeout{10000};     // to a peer by way of a relay
    std::size_t dials_per_peer_max = 8;                   // addresses tried for one connect()
    std::size_t dials_max = 160;                          // at a time, of all peers; others wait
    std::chrono::milliseconds dial_gap_private{30};       // from one address to the next
    std::chrono::milliseconds dial_gap_public{250};
    std::chrono::milliseconds dial_relay_after{500};  // where there are direct addresses
    std::size_t black_hole_window = 100;       // dials over public IPv6 that are looked back on
    std::size_t black_hole_successes_min = 5;  // fewer of them: it does not work here
    std::size_t dnsaddr_levels_max = 4;        // names that lead to names, with the first
    std::size_t dnsaddr_addresses_max = 32;    // taken from the answers for one /dnsaddr address
    std::size_t addresses_per_peer = 64;
    std::size_t known_peers_max = 4096;
    std::chrono::milliseconds address_lifetime{3600000};  // since somebody told it last
    std::chrono::milliseconds address_connected_lifetime{
        86400000};  // since the peer was connected last
    std::chrono::milliseconds back_off_first{5000};
    std::chrono::milliseconds back_off_max{300000};

    // Streams
    std::size_t streams_per_connection_max = 1000;  // inbound
    std::size_t streams_per_peer_max = 1000;        // inbound, over all its connections
    std::size_t streams_max = 8192;                 // inbound, of all peers
    std::size_t streams_outbound_per_peer_max = 4096;
    std::size_t streams_outbound_max = 32768;
    std::size_t streams_pending_max = 4096;                // inbound, that agree on a protocol
    std::size_t streams_pending_per_connection_max = 256;  // the same; others wait for their turn
    std::size_t streams_per_protocol_max = 8192;           // inbound
    std::size_t streams_per_protocol_and_peer_max = 1000;  // inbound
    std::size_t pings_max = 64;                            // inbound streams of /ipfs/ping
    std::size_t pings_per_peer_max = 2;
    std::size_t identifies_max = 64;  // inbound streams of /ipfs/id and its push
    std::size_t identifies_per_peer_max = 16;
    std::size_t unacknowledged_streams_max = 256;  // outbound, before open() waits
    std::chrono::milliseconds negotiation_timeout{10000};
    std::size_t proposals_max = 32;  // refused protocols before a stream is reset

    // Yamux
    std::uint32_t window_initial = 256 << 10;     // given by the protocol
    std::uint32_t window_max = 16 << 20;          // of one stream
    std::uint64_t window_total_max = 32 << 20;    // of all streams of a connection
    std::size_t windows_remembered_max = 1024;    // peers whose windows grew, between connections
    std::size_t frame_bytes_max = 64 << 10;       // payload of a frame that we send
    std::size_t control_frames_max = 1024;        // waiting to be sent
    std::chrono::milliseconds keep_alive{30000};  // a yamux ping when nothing else happened
    std::chrono::milliseconds write_stall_max{
        30000};  // nothing could be written: the connection is dead

    // QUIC
    std::size_t quic_streams_max = 256;              // of the peer, at a time
    std::uint64_t quic_window_initial = 512 << 10;   // of one stream
    std::uint64_t quic_window_max = 3 << 20;         // as it grows
    std::uint64_t quic_window_total = 8 << 20;       // of all streams of a connection
    std::size_t quic_unacknowledged_max = 16 << 20;  // that we sent or copied, of a connection
    std::chrono::milliseconds quic_idle_timeout{30000};
    std::chrono::milliseconds quic_keep_alive{15000};
    std::size_t quic_unproven_max = 16;        // handshakes under way, before senders must prove
                                               // that they get what is sent to their address
    std::size_t quic_answers_per_second = 64;  // to packets that belong to no connection

    // Memory that peers can make us hold: what arrived and was not read, and, as measured, what an
    // idle connection and an idle stream take
    std::size_t memory_max = 384 << 20;
    std::size_t memory_pending_max = 32 << 20;  // of connections whose handshake is under way
    std::size_t memory_per_peer_max = 64 << 20;
    std::size_t memory_per_connection_max = 64 << 20;
    std::size_t memory_always = 256 << 10;  // of a connection, though half of memory_max is used
    std::size_t connection_bytes = 40 << 10;
    std::size_t stream_bytes = 4 << 10;

    // Messages
    std::size_t identify_bytes_max = 8 << 10;  // read; ours stay below 4096
    std::size_t identify_protocols_max = 1024;
};

}  // namespace kwaai::p2p
