// How much is being served, to each peer and to all.
#pragma once
#include <cstddef>
#include <map>
#include <utility>

#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

/// Confined to the loop's thread.
class ServedCount {
public:
    /// One more for a peer while it lives; the counts outlive it.
    class Lease {
    public:
        Lease(ServedCount& count, PeerId peer) : count_(count), peer_(std::move(peer)) {
            ++count_.total_;
            ++count_.of_peer_[peer_];
        }

        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;

        ~Lease() {
            --count_.total_;
            const auto entry = count_.of_peer_.find(peer_);
            if (--entry->second == 0) count_.of_peer_.erase(entry);
        }

    private:
        ServedCount& count_;
        PeerId peer_;
    };

    [[nodiscard]] std::size_t total() const { return total_; }

    [[nodiscard]] std::size_t of(const PeerId& peer) const {
        const auto found = of_peer_.find(peer);
        return found == of_peer_.end() ? 0 : found->second;
    }

private:
    std::size_t total_ = 0;
    std::map<PeerId, std::size_t> of_peer_;
};

}  // namespace kwaai::p2p
