// A node of a distributed hash table: finds peers, values and providers (libp2p specs, kad-dht).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "io/clock.hpp"
#include "io/task.hpp"
#include "p2p/host.hpp"
#include "p2p/kad/dht_archive.hpp"
#include "p2p/kad/dht_limits.hpp"
#include "p2p/kad/dht_network.hpp"
#include "p2p/kad/kad_key.hpp"
#include "p2p/kad/validator.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p::kad {

inline constexpr const char* kKadProtocol = "/kwaai/kad/1.0.0";
/// The public table's name, which Hivemind's swarms use too.
inline constexpr const char* kPublicKadProtocol = "/ipfs/kad/1.0.0";

/// A peer and where it can be dialled, without /p2p.
struct PeerAddresses {
    PeerId peer;
    std::vector<Multiaddr> addresses;

    bool operator==(const PeerAddresses&) const = default;
};

enum class Mode : std::uint8_t {
    client,  // asks only; is in nobody's routing table
    server,  // answers, too: it must be reachable from outside
};

/// Whether a peer shows a protocol of Hivemind.
[[nodiscard]] bool speaks_hivemind(const PeerInfo& info);

/// How a lookup went.
struct LookupReport {
    unsigned hops = 0;         // requests, one after the other, that led to the nearest answer
    std::size_t requests = 0;  // of all
    io::Duration took{};
};

struct DhtOptions {
    std::string protocol = kKadProtocol;
    Mode mode = Mode::client;
    DhtLimits limits;
    /// Of the values that may be put, got and stored. Empty: no values at all.
    Validators validators;
    /// Which peers that speak the protocol may be in the routing table. Where empty: all, but under
    /// kPublicKadProtocol those that speak_hivemind (docs/protocols/kad.md).
    std::function<bool(const PeerInfo&)> admits;
    /// Where others can dial this node, without /p2p; told with what it provides. Where empty:
    /// where the host listens, but not 0.0.0.0 and ::.
    std::function<std::vector<Multiaddr>()> own_addresses;
    /// Told at the end of each lookup, those that keep the table included; for measurements.
    std::function<void(const LookupReport&)> on_lookup;
    /// Of the points that are looked up to refresh buckets.
    std::uint64_t seed = 1;
};

/// Confined to the loop's thread. Lookups work while the host runs; the routing table is filled and
/// kept while run() runs, too. Cancelling a call ends its requests.
///
/// Lookups end when the `closest_answered` nearest peers have answered, after `lookup_timeout`, or
/// after `queries_max` requests, with what there is by then. A peer that takes
/// longer than its earlier answers suggest is not waited for; its late answer counts. Common
/// errors: `unavailable` where no peer is known or none answers, `invalid_argument` and
/// `limit_exceeded` for keys and values past DhtLimits.
class Dht {
public:
    /// `host` and `clock` outlive it, and the host's run() has ended before them. In server mode
    /// the protocol is handled from here on.
    Dht(Host& host, io::Clock& clock, DhtOptions options);
    /// Over another network, of which the same is true.
    Dht(DhtNetwork& network, io::Clock& clock, DhtOptions options);
    Dht(const Dht&) = delete;
    Dht& operator=(const Dht&) = delete;
    ~Dht();

    /// Checks candidates for the routing table, refreshes buckets, drops what has expired, and
    /// publishes again what was put and provided here. Until cancelled.
    io::Task<void> run();

    /// Connects to these addresses (with /p2p), takes those peers in that speak the protocol, and
    /// looks itself up. How many peers the routing table holds then; `unavailable`, with each
    /// failure, where that is none.
    io::Task<Result<std::size_t>> bootstrap(std::vector<Multiaddr> addresses);

    /// bootstrap() from peers that answered in the past, the last `rejoin_peers_max` of them.
    /// `unavailable` where none is known or none answers.
    io::Task<Result<std::size_t>> rejoin();

    /// The at most `bucket_size` peers nearest to `key`, nearest first, without this node and those
    /// that failed.
    io::Task<Result<std::vector<PeerAddresses>>> find_closest(codec::Buffer key);
    /// Where a peer can be dialled; the host knows it afterwards. `not_found`.
    io::Task<Result<PeerAddresses>> find_peer(PeerId peer);

    /// Stores `value` on the peers nearest to `key`, and again every `republish_interval`. How many
    /// took it, at least one. Errors of the validator.
    io::Task<Result<std::size_t>> put(codec::Buffer key, codec::Buffer value);
    /// The best valid value of the first `value_quorum` that were found; peers that returned a
    /// worse one, or the nearest that had none, are given it. `not_found`, or errors of the
    /// validators for a key of a namespace that nobody knows.
    io::Task<Result<codec::Buffer>> get(codec::Buffer key);

    /// Tells the peers nearest to `key` that this node has what it names, and again every
    /// `republish_interval` until stop_providing(). How many were told, at least one. The key is a
    /// multihash as far as other implementations care: see provider_key().
    io::Task<Result<std::size_t>> provide(codec::Buffer key);
    /// What other peers know is forgotten after `provider_lifetime`.
    void stop_providing(const codec::Buffer& key);
    /// At most `max` peers that said so, with the addresses that were given with them; none where
    /// nobody did. Ends early when there are `max`.
    io::Task<Result<std::vector<PeerAddresses>>> find_providers(codec::Buffer key, std::size_t max);

    /// Begins or stops to answer; connected peers learn it by identify push.
    void set_mode(Mode mode);
    [[nodiscard]] Mode mode() const;
    /// What would be lost with the process: records, providers, peers that answered.
    [[nodiscard]] KeptDht kept() const;
    /// Takes up what an earlier process had kept. Call before run().
    void restore(KeptDht kept);
    /// Rises when kept() changes.
    [[nodiscard]] std::uint64_t change_count() const;
    [[nodiscard]] const DhtLimits& limits() const;

    /// Peers in the routing table.
    [[nodiscard]] std::size_t peer_count() const;
    [[nodiscard]] std::vector<PeerId> peers() const;

    struct State;  // for the dht_*.cpp files of this folder

private:
    std::shared_ptr<State> state_;
};

}  // namespace kwaai::p2p::kad
