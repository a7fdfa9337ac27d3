// A node: blocks that it serves, a model that it answers for over HTTP, and the ports for both. The
// composition root.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "crypto/web_tls_files.hpp"
#include "engine/block_backend.hpp"
#include "engine/engine.hpp"
#include "http/server.hpp"
#include "io/address.hpp"
#include "io/loop.hpp"
#include "node/identity.hpp"
#include "node/traversal.hpp"
#include "p2p/kad/dht.hpp"
#include "p2p/multiaddr.hpp"
#include "petals/swarm.hpp"

namespace kwaai::node {

/// Serving blocks to others.
struct ServeBlocks {
    Identity identity;
    std::vector<p2p::Multiaddr> listen;          // at least one
    std::optional<inference::BlockRange> range;  // empty: all
    bool maps_ports = false;                     // asks the router to
    RelayOptions relaying;
};

/// All that can be set. What answers over HTTP: with `blocks`, `peers` or `finds_servers`, a swarm
/// of these peers and the node itself; else an engine with the whole model.
struct NodeOptions {
    std::string model_path;  // a GGUF file or a Hugging Face directory
    std::string version;     // of the program; part of "system_fingerprint"
    engine::EngineOptions engine;
    std::optional<ServeBlocks> blocks;
    std::vector<petals::PeerAddress> peers;
    bool finds_servers = false;             // of the model's other blocks, in the DHT
    std::vector<p2p::Multiaddr> bootstrap;  // nodes of the network, with /p2p or /dnsaddr
    std::string kad_protocol = p2p::kad::kKadProtocol;  // of that network
    bool finds_neighbours = false;                      // nodes of it on the local network, by mDNS
    std::string prefix;  // of the names of blocks: those of stock peers, and those served
    hivemind::WireType rows = hivemind::WireType::float32;
    crypto::WebTls web;               // for secure WebSockets
    std::optional<io::Address> http;  // port 0: the system chooses
    http::Limits http_limits;
};

/// Called on the loop's thread; each may be empty.
struct NodeEvents {
    std::function<void()> on_blocks;                  // the blocks are loaded and served
    std::function<void()> on_ready;                   // HTTP answers
    std::function<void(const std::string&)> on_note;  // a sentence for people
};

/// Confined to the loop's thread; `loop` outlives it.
class Node {
public:
    /// Takes the ports, so that a taken one is told before anything is loaded. Errors of
    /// BlockNode::listen and io::listen_tcp; `Errc::invalid_argument` where there is nothing to do.
    static Result<std::unique_ptr<Node>> start(io::Loop& loop, NodeOptions options);

    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;
    /// Nothing may be under way: run() has ended.
    ~Node();

    /// Where others dial it, with its peer id; empty where it serves no blocks.
    [[nodiscard]] std::vector<p2p::Multiaddr> addresses() const;
    /// Whether other machines can reach the blocks.
    [[nodiscard]] bool is_exposed() const;
    /// The blocks that it serves, once they are loaded; null where there are none.
    [[nodiscard]] const engine::BlockBackend* blocks() const;
    /// The model that answers over HTTP, once it is ready; null where there is none.
    [[nodiscard]] const engine::TextModel* model() const;
    /// "http://127.0.0.1:8080", with the port that the system chose; empty without HTTP.
    [[nodiscard]] std::string url() const;

    /// Loads (connections wait meanwhile), then serves until stop() was called and all has ended.
    /// Errors of Engine::load, BlockNode::load and ClientNode::run; `Errc::io` when the HTTP
    /// listener fails. Cancellation ends it at once, except while it loads.
    io::Task<Result<>> run(NodeEvents events);
    /// Takes no more requests over HTTP; those under way may go on for `grace`. Then sessions end
    /// and peers are told goodbye. Repeatable, the shorter grace counts. Only once on_ready, or
    /// where there is no HTTP on_blocks, was called.
    void stop(io::Duration grace);

private:
    struct Parts;
    explicit Node(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace kwaai::node
