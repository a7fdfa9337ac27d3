// A node of the network that holds no model: it is reached, stores and finds.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "crypto/web_tls_files.hpp"
#include "io/loop.hpp"
#include "io/task.hpp"
#include "node/identity.hpp"
#include "node/traversal.hpp"
#include "p2p/discovery/discovery.hpp"
#include "p2p/host.hpp"
#include "p2p/kad/dht.hpp"
#include "p2p/limits.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::node {

/// "4001": that TCP port on every network of the machine; else a multiaddr.
/// `Errc::invalid_argument`.
[[nodiscard]] Result<p2p::Multiaddr> parse_listen_address(std::string_view text);

/// "/ip4/…/tcp/…/p2p/ID". `Errc::invalid_argument`, also where the peer's id is missing.
[[nodiscard]] Result<p2p::Multiaddr> parse_peer_multiaddr(std::string_view text);

struct P2pNodeOptions {
    std::string agent = "kwaai";
    std::vector<p2p::Multiaddr> listen;     // port 0: the system chooses; none: it asks only
    std::vector<p2p::Multiaddr> bootstrap;  // nodes of the network to join, with /p2p or /dnsaddr
    std::string kad_protocol = p2p::kad::kKadProtocol;
    p2p::Limits limits;
    bool serves_perf = false;
    /// A relay also answers AutoNAT: its peers ask whether they are reachable.
    RelayOptions relaying;
    crypto::WebTls web;  // for secure WebSockets
    /// Sentences for people, told on the loop's thread; may be empty.
    std::function<void(const std::string&)> on_note;
};

/// What stands under a shared name of the DHT.
struct SharedValue {
    p2p::PeerId publisher;      // who signed it
    std::uint64_t written = 0;  // milliseconds since 1970, by the publisher's clock
    std::uint64_t expires = 0;  // seconds since 1970
    std::string value;
};

/// A host, a node of the DHT (a server where it listens, else a client), and discovery, on one
/// loop. Where it listens, what it stores and whom it knows lies beside its identity, so that it
/// comes back to its network with both. Confined to the loop's thread; `loop` outlives it.
class P2pNode {
public:
    using Work = std::function<io::Task<Result<>>(P2pNode& node)>;

    /// Listens. Errors of Host::listen.
    static Result<std::unique_ptr<P2pNode>> make(io::Loop& loop,
                                                 Identity identity,
                                                 P2pNodeOptions options);

    P2pNode(const P2pNode&) = delete;
    P2pNode& operator=(const P2pNode&) = delete;
    /// Nothing may be under way: run() has ended.
    ~P2pNode();

    /// Runs the node until `work` has ended, whose result it gives, and says goodbye to all peers.
    /// What is below may be awaited meanwhile. Cancellation ends both.
    io::Task<Result<>> run(Work work);
    /// As run(), but once `work` has succeeded the node goes on until Ctrl-C or a request to
    /// terminate. One that comes earlier cancels `work`: `Errc::cancelled`.
    io::Task<Result<>> run_until_signal(Work work);

    /// Connects to the bootstrap nodes and looks around. How many nodes are known then: 0 where
    /// none were named. Whoever is alone afterwards tries again now and then. Errors of
    /// Dht::bootstrap.
    io::Task<Result<std::size_t>> join();

    /// Makes sure of a connection to `target`: an address with /p2p, a /dnsaddr, or the id of a
    /// peer that is looked up in the network. Errors of Host::connect, Dht::find_peer;
    /// `Errc::invalid_argument`.
    io::Task<Result<p2p::PeerId>> reach(std::string target);

    /// Signs `value` and stores it under a name that all nodes share, for 48 hours; the last writer
    /// wins. How many other nodes took it; 0 where nobody is known yet, and this node hands it out
    /// while it runs. `Errc::invalid_argument` for a name of other than 1 to 64 bytes; errors of
    /// Dht::put.
    io::Task<Result<std::size_t>> put(std::string name, std::string value);
    /// What was written last under that name. Errors of Dht::get.
    io::Task<Result<SharedValue>> get(std::string name);

    /// Where others on this machine's networks can dial it, with /p2p, loopback first; and over
    /// relays.
    [[nodiscard]] std::vector<p2p::Multiaddr> addresses() const;
    [[nodiscard]] const P2pNodeOptions& options() const;
    [[nodiscard]] io::Loop& loop();
    [[nodiscard]] p2p::Host& host();
    [[nodiscard]] p2p::kad::Dht& dht();
    [[nodiscard]] p2p::Discovery& discovery();

private:
    struct Parts;
    explicit P2pNode(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace kwaai::node
