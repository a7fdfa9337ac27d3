// The numbers of Kademlia, and what peers may make us do. Sources: libp2p.md §1.13, §4 and §5.5.
#pragma once
#include <chrono>
#include <cstddef>

namespace kwaai::p2p::kad {

struct DhtLimits {
    // Routing table
    std::size_t bucket_size = 20;                 // k: also what a lookup gives and a put reaches
    std::size_t table_peers_of_network_max = 3;   // of one /16 (IPv4) or /32 (IPv6)
    std::size_t bucket_peers_of_network_max = 2;  // the same in one bucket
    bool is_private_network_exempt = true;        // loopback, link-local and private ranges
    std::size_t failures_max = 2;                 // in a row, before a peer leaves the table
    std::size_t candidates_max = 64;              // peers waiting to be checked for the table
    std::size_t checks_max = 4;                   // checks under way
    std::chrono::minutes refresh_interval{10};    // of buckets, and of the peers nearest to us
    std::chrono::minutes probe_after{30};         // a peer in the table that said nothing so long
    unsigned refresh_prefix_max = 10;             // buckets beyond are refreshed by the self lookup

    // Peers that answered once
    std::size_t known_peers_max = 256;
    std::size_t known_peers_tried = 4;  // of those outside of the table, each refresh
    std::size_t rejoin_peers_max = 16;  // tried at a time by who knows nobody else

    // Lookups
    std::size_t parallel = 10;         // alpha
    std::size_t closest_answered = 3;  // beta: a lookup ends when these have answered
    std::size_t paths = 2;             // disjoint, of lookups of values and providers
    std::size_t queries_max = 200;     // of one lookup
    std::size_t value_quorum = 3;      // valid answers that end a get
    std::chrono::milliseconds lookup_timeout{60000};
    std::chrono::milliseconds rpc_timeout_first{5000};  // while no round trip was measured
    std::chrono::milliseconds rpc_timeout_min{500};
    std::chrono::milliseconds rpc_timeout_max{10000};
    std::chrono::milliseconds failure_memory{60000};  // a peer heard of is not asked so soon again
    std::size_t timings_max = 4096;                   // peers whose round trips are remembered

    // Messages
    std::size_t request_bytes_max = 64 << 10;  // read
    std::size_t reply_bytes_max = 256 << 10;   // read
    std::size_t sent_bytes_max = 16 << 10;     // what rust-libp2p reads
    std::size_t key_bytes_max = 256;
    std::size_t provider_key_bytes_max = 80;
    std::size_t value_bytes_max = 8 << 10;
    std::size_t peers_max = 40;            // read of one list of peers
    std::size_t peer_bytes_max = 8 << 10;  // read of one peer
    std::size_t addresses_max = 64;        // read of one peer
    std::size_t addresses_sent_max = 16;   // of one peer

    // Server
    std::size_t streams_max = 512;  // served at a time
    std::size_t streams_per_peer_max = 32;
    std::chrono::milliseconds stream_idle{60000};

    // What is stored
    std::size_t records_max = 4096;
    std::size_t records_bytes_max = 16 << 20;
    std::size_t provider_keys_max = 4096;
    std::size_t providers_per_key_max = 64;
    std::chrono::minutes record_lifetime = std::chrono::hours(48);
    std::chrono::minutes provider_lifetime = std::chrono::hours(48);
    std::chrono::minutes provider_address_lifetime = std::chrono::hours(24);
    std::chrono::minutes expiry_interval{10};

    // What survives a restart
    std::chrono::minutes save_interval{1};
    std::size_t saved_providers_max = 1 << 16;
    std::size_t archive_bytes_max = 64 << 20;

    // What we have put or provide
    std::size_t published_max = 1024;
    std::chrono::minutes republish_interval = std::chrono::hours(22);
};

}  // namespace kwaai::p2p::kad
