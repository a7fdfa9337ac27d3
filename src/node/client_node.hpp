// The part of a node that writes text through the blocks of others.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "crypto/web_tls.hpp"
#include "engine/loading.hpp"
#include "engine/text_model.hpp"
#include "hivemind/tensor_wire.hpp"
#include "io/loop.hpp"
#include "p2p/kad/dht.hpp"
#include "petals/session.hpp"
#include "petals/swarm.hpp"

namespace kwaai::node {

/// "f32", "f16" or "bf16": in what rows travel.
[[nodiscard]] Result<hivemind::WireType> parse_rows(std::string_view text);

/// What happens, told on the loop's thread. Each may be empty.
struct ClientEvents {
    /// Sentences for people: who joined, who was refused, who took over.
    std::function<void(const std::string&)> on_note;
    /// The route of a text after each of its steps, with what every hop took.
    std::function<void(const std::vector<petals::InferenceSession::HopReport>&)> on_step;
};

struct ClientNodeOptions {
    std::string model_path;
    std::string version;  // of the program
    std::vector<petals::PeerAddress> peers;
    bool finds_servers = false;             // by the model's name, in the DHT
    std::vector<p2p::Multiaddr> bootstrap;  // nodes of the network, with /p2p or /dnsaddr
    std::string kad_protocol = p2p::kad::kKadProtocol;
    bool finds_neighbours = false;  // those of the local network (mDNS)
    /// Where the nodes that are met are kept for other runs; empty: nowhere.
    std::string network_file;
    std::string prefix;                                     // of stock servers' blocks
    hivemind::WireType rows = hivemind::WireType::float32;  // of what is sent
    std::uint32_t context = 0;                              // as ModelEndsOptions
    std::shared_ptr<engine::ComputePool> pool;  // shared with others; empty: one of its own
    unsigned threads = 0;                       // of its own pool; 0 = the cores we may use
    engine::ProgressHandler on_progress;        // of loading
    std::size_t servers_min = 1;                // as SwarmOptions
    std::shared_ptr<const crypto::WebClientTls> web_client;  // as HostOptions
    ClientEvents events;
};

/// A host with an identity of its own for each run, which does not listen, and a TextModel over the
/// peers that were named, and those that are found. Confined to the loop's thread; `loop` outlives
/// it.
class ClientNode {
public:
    /// Nothing is loaded yet. Errors of io::open_multicast where it finds neighbours.
    static Result<std::unique_ptr<ClientNode>> make(io::Loop& loop, ClientNodeOptions options);

    ClientNode(const ClientNode&) = delete;
    ClientNode& operator=(const ClientNode&) = delete;
    /// Nothing may be under way: run() has ended.
    ~ClientNode();

    /// Loads both ends of the model, takes its digest, joins the network where servers are to be
    /// found, asks the peers, calls `on_ready` and serves requests until stop(). Errors of
    /// ModelEnds::load, read_model_digest, Membership::joined and Swarm::connect.
    /// Cancellation ends it at once, except while it loads.
    io::Task<Result<>> run(std::function<void()> on_ready);
    /// Requests get their last event, then run() ends.
    void stop();

    /// Once it is ready. Its submit() and cancel() are for any thread.
    [[nodiscard]] engine::TextModel& model();

private:
    struct Parts;
    explicit ClientNode(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace kwaai::node
