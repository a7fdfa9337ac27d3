// The part of a node that serves blocks to others.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "crypto/web_tls_files.hpp"
#include "engine/block_backend.hpp"
#include "engine/loading.hpp"
#include "hivemind/tensor_wire.hpp"
#include "inference/model.hpp"
#include "io/loop.hpp"
#include "node/identity.hpp"
#include "node/traversal.hpp"
#include "p2p/kad/dht.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::node {

struct BlockNodeOptions {
    std::string model_path;
    std::string version;                    // of the program
    std::vector<p2p::Multiaddr> listen;     // at least one; port 0: the system chooses
    std::vector<p2p::Multiaddr> bootstrap;  // nodes to join, with /p2p or /dnsaddr
    std::string kad_protocol = p2p::kad::kKadProtocol;
    std::optional<inference::BlockRange> range;  // empty: all blocks
    std::string prefix;                          // of the blocks' names; empty: the model's name
    hivemind::WireType rows = hivemind::WireType::float32;  // of the answers
    std::shared_ptr<engine::ComputePool> pool;  // shared with others; empty: one of its own
    unsigned threads = 0;                       // of its own pool; 0 = the cores we may use
    engine::ProgressHandler on_progress;        // of loading
    bool maps_ports = false;                    // asks the router to forward where it listens
    bool finds_neighbours = false;              // joins those of the local network (mDNS)
    RelayOptions relaying;
    crypto::WebTls web;  // for secure WebSockets
};

/// A host that listens, a server of blocks on it, and a node of the DHT, where it says which model
/// it has. What it knows of its network lies beside its identity, so that it comes back to it
/// without `bootstrap`. Confined to the loop's thread; `loop` outlives it.
class BlockNode {
public:
    /// Looks at the model's header and listens; the blocks are loaded by load(), so that this is
    /// quick. Errors of open_model_files and Host::listen; `Errc::invalid_argument` for blocks that
    /// the model has not; of io::open_multicast where it finds neighbours.
    static Result<std::unique_ptr<BlockNode>> listen(io::Loop& loop,
                                                     Identity identity,
                                                     BlockNodeOptions options);

    BlockNode(const BlockNode&) = delete;
    BlockNode& operator=(const BlockNode&) = delete;
    /// Nothing may be under way: run() has ended.
    ~BlockNode();

    /// Where others dial it, with /p2p/ID: one for each address of the machine where it listens on
    /// all of them.
    [[nodiscard]] std::vector<p2p::Multiaddr> addresses() const;
    /// An address on this machine.
    [[nodiscard]] p2p::Multiaddr own_address() const;
    [[nodiscard]] bool is_loopback_only() const;
    [[nodiscard]] inference::BlockRange range() const;

    /// Runs the host until close() or cancellation, and joins the network: as long as nobody of it
    /// is known, again and again. Callers who come before the blocks are loaded are told
    /// so. `on_note` as load()'s.
    io::Task<void> run(std::function<void(const std::string&)> on_note);
    /// Loads the blocks beside run() and serves them from then on; takes the model's digest
    /// afterwards. Ends when both are done. `on_ready` is called in between, `on_note` now and then
    /// with a sentence about a session. Errors of BlockEngine::load; the digest's are noted.
    io::Task<Result<>> load(std::function<void()> on_ready,
                            std::function<void(const std::string&)> on_note);
    /// Says goodbye to all peers and lets run() and load() end.
    void close();

    /// Once it is loaded.
    [[nodiscard]] const engine::BlockBackend& backend() const;

private:
    struct Parts;
    explicit BlockNode(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace kwaai::node
