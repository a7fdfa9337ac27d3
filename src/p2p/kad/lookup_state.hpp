// Which peers a lookup asks next, and when it is over.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "p2p/kad/kad_key.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p::kad {

struct LookupOptions {
    KadKey target;
    std::size_t parallel = 10;         // requests under way, of all paths together
    std::size_t closest_answered = 3;  // the nearest of a path that answer before it ends
    std::size_t result_size = 20;
    std::size_t paths = 1;
    std::size_t queries_max = 200;
};

/// An iterative lookup along disjoint paths: no peer is asked twice, and what a peer says leads on
/// only the path on which it was asked (S/Kademlia, Baumgart and Mies 2007). Pure: the caller asks
/// next() until there is nothing, reports answered() or failed() for each, and asks again.
class LookupState {
public:
    /// @param self never asked and never in the result
    LookupState(const PeerId& self, const LookupOptions& options);
    LookupState(const LookupState&) = delete;  // its paths point into its nodes
    LookupState& operator=(const LookupState&) = delete;
    LookupState(LookupState&&) = default;
    LookupState& operator=(LookupState&&) = default;
    ~LookupState() = default;

    /// Peers to begin with, nearest first; dealt to the paths in turn.
    void add_seeds(std::span<const PeerId> peers);

    /// A peer to ask now; nothing while enough requests are under way, and once it is over.
    [[nodiscard]] std::optional<PeerId> next();
    void answered(const PeerId& peer, std::span<const PeerId> closer);
    void failed(const PeerId& peer);
    /// Whether it was, and has neither answered nor failed nor stalled.
    [[nodiscard]] bool is_asked(const PeerId& peer) const;
    /// It takes longer than it should: others are asked meanwhile, and its answer still counts.
    void stalled(const PeerId& peer);

    /// Nothing more is wanted.
    void stop() { is_stopped_ = true; }

    [[nodiscard]] bool is_stopped() const { return is_stopped_; }

    [[nodiscard]] bool is_over() const;

    /// Nearest first, at most `result_size`: those that answered, and those that were heard of and
    /// did not fail.
    [[nodiscard]] std::vector<PeerId> closest() const;
    /// Those that answered, nearest first.
    [[nodiscard]] std::vector<PeerId> answerers() const;

    /// How many requests, one after the other, led to the nearest that answered; 1 for a seed.
    [[nodiscard]] unsigned hops() const;

    [[nodiscard]] std::size_t query_count() const { return queries_; }

private:
    enum class Phase : std::uint8_t { heard, asked, stalled, answered, failed };

    struct Node {
        PeerId peer;
        Phase phase = Phase::heard;
        unsigned hops = 1;
        std::size_t path = 0;  // on which it was asked
    };

    struct Path {
        std::map<Distance, Node*> nodes;  // of `nodes_`
        std::size_t under_way = 0;        // and not stalled
        std::size_t stalled = 0;
    };

    void learn(std::size_t path, const PeerId& peer, unsigned hops);
    [[nodiscard]] Node* find_asked(const PeerId& peer);
    [[nodiscard]] bool is_finished(const Path& path) const;
    [[nodiscard]] Node* nearest_heard(const Path& path) const;

    KadKey self_;
    LookupOptions options_;
    std::map<Distance, Node> nodes_;
    std::vector<Path> paths_;
    std::size_t next_path_ = 0;
    std::size_t queries_ = 0;
    bool is_stopped_ = false;
};

}  // namespace kwaai::p2p::kad
