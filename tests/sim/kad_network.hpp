// A network for a thousand nodes of the table: streams with latency and loss, but neither
// handshakes nor a muxer, which cost a thousand times as much as what the table itself does.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.hpp"
#include "io/task_group.hpp"
#include "p2p/kad/dht_network.hpp"
#include "testing/virtual_clock.hpp"

namespace kwaai::sim {

class KadNode;

struct KadLink {
    io::Duration latency = std::chrono::milliseconds(40);  // one way
    io::Duration jitter = std::chrono::milliseconds(20);
    double loss = 0;  // of a message, which comes 200 ms later then, twice as long each time
};

/// All nodes. The same seed gives the same run.
class KadNetwork {
public:
    /// `group` runs what the nodes answer, and ends before the network.
    KadNetwork(testing::VirtualClock& clock,
               io::TaskGroup& group,
               std::uint64_t seed,
               const KadLink& link);

    /// A node with a random id, at an address of its own; it lives. Kept by the network.
    KadNode& add();

    [[nodiscard]] KadNode& node(std::size_t index) { return *nodes_[index]; }

    [[nodiscard]] std::size_t size() const { return nodes_.size(); }

    /// The node of this id, if one was added.
    [[nodiscard]] KadNode* find(const p2p::PeerId& peer) const;

    /// Nobody of one side reaches anybody of the other: those for whom `is_left` is true.
    void partition(std::vector<bool> is_left) { is_left_ = std::move(is_left); }

    void heal() { is_left_.clear(); }

    /// A digest of all that was sent: time, from, to, size.
    [[nodiscard]] std::uint64_t trace_hash() const { return trace_; }

    // For the nodes and their streams.
    [[nodiscard]] testing::VirtualClock& clock() { return clock_; }

    [[nodiscard]] io::TaskGroup& group() { return group_; }

    [[nodiscard]] io::Duration delay();
    [[nodiscard]] bool reaches(const KadNode& one, const KadNode& other) const;
    [[nodiscard]] KadNode* at(const p2p::Multiaddr& address);
    void note(std::size_t from, std::size_t to, std::size_t bytes);

private:
    testing::VirtualClock& clock_;
    io::TaskGroup& group_;
    KadLink link_;
    CounterRandom random_;
    std::vector<std::unique_ptr<KadNode>> nodes_;
    std::unordered_map<p2p::PeerId, KadNode*> by_id_;
    std::unordered_map<std::string, KadNode*> by_address_;
    std::vector<bool> is_left_;
    std::uint64_t trace_ = 0xcbf29ce484222325;  // FNV-1a
};

class KadNode final : public p2p::kad::DhtNetwork {
public:
    KadNode(KadNetwork& network, std::size_t index, p2p::PeerId id, p2p::Multiaddr address);

    /// Without a word: peers take it for connected a while longer, and get no answer.
    void die();
    /// As a new process: no connections, no addresses of others, no protocols.
    void rise();

    [[nodiscard]] bool is_alive() const { return is_alive_; }

    [[nodiscard]] std::size_t index() const { return index_; }

    [[nodiscard]] std::uint32_t life() const { return life_; }

    [[nodiscard]] const p2p::Multiaddr& address() const { return address_; }

    [[nodiscard]] const p2p::PeerId& id() const override { return id_; }

    [[nodiscard]] std::vector<p2p::Multiaddr> addresses() const override;
    void handle(std::string protocol, p2p::StreamHandler handler) override;
    void stop_handling(const std::string& protocol) override;
    void add_address(const p2p::PeerId& peer, const p2p::Multiaddr& address) override;
    [[nodiscard]] std::vector<p2p::Multiaddr> known_addresses(
        const p2p::PeerId& peer) const override;
    [[nodiscard]] bool is_connected(const p2p::PeerId& peer) const override;
    io::Task<Result<p2p::PeerId>> connect(p2p::Multiaddr address) override;
    io::Task<Result<std::unique_ptr<p2p::Stream>>> open(p2p::PeerId peer,
                                                        std::string protocol,
                                                        p2p::OpenOptions options) override;
    io::Task<Result<p2p::PeerInfo>> identify(p2p::PeerId peer) override;

private:
    using Addresses = std::vector<p2p::Multiaddr>;

    struct Link {
        std::uint32_t own_life = kNever;  // when they connected
        std::uint32_t peer_life = kNever;
        Addresses addresses;
    };

    static constexpr std::uint32_t kNever = ~std::uint32_t{0};

    io::Task<Result<>> dial(p2p::PeerId peer, io::Duration limit);
    void connected_to(KadNode& peer);
    [[nodiscard]] KadNode* connected(const p2p::PeerId& peer) const;
    [[nodiscard]] Link& link_to(const KadNode& peer);
    [[nodiscard]] const Addresses* find_addresses(const p2p::PeerId& peer) const;

    KadNetwork& network_;
    std::size_t index_;
    p2p::PeerId id_;
    p2p::Multiaddr address_;
    std::unordered_map<std::string, p2p::StreamHandler> handlers_;
    std::vector<Link> links_;                               // by the peer's index
    std::unordered_map<p2p::PeerId, Addresses> strangers_;  // ids of no node, which liars invent
    bool is_alive_ = true;
    std::uint32_t life_ = 0;  // how often it died
    io::TimePoint died_{};
};

}  // namespace kwaai::sim
