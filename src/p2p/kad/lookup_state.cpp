#include "p2p/kad/lookup_state.hpp"

#include <algorithm>

namespace kwaai::p2p::kad {

LookupState::LookupState(const PeerId& self, const LookupOptions& options)
    : self_(KadKey::of(self)),
      options_(options),
      paths_(
          std::clamp<std::size_t>(options.paths, 1, std::max<std::size_t>(options.parallel, 1))) {}

void LookupState::learn(std::size_t path, const PeerId& peer, unsigned hops) {
    const KadKey key = KadKey::of(peer);
    if (key == self_) return;
    const Distance distance = Distance::between(options_.target, key);
    Node& node = nodes_.try_emplace(distance, Node{.peer = peer, .hops = hops}).first->second;
    node.hops = std::min(node.hops, hops);
    paths_[path].nodes.try_emplace(distance, &node);
}

void LookupState::add_seeds(std::span<const PeerId> peers) {
    std::size_t path = 0;
    for (const PeerId& peer : peers) {
        learn(path, peer, 1);
        path = (path + 1) % paths_.size();
    }
}

bool LookupState::is_finished(const Path& path) const {
    std::size_t answered = 0;
    for (const auto& [distance, node] : path.nodes) {
        const Phase phase = node->phase;
        if (phase == Phase::failed || phase == Phase::stalled) continue;
        if (phase != Phase::answered) break;
        if (++answered >= options_.closest_answered) return true;
    }
    // What another path has asked leads on over there.
    return path.under_way == 0 && path.stalled == 0 && nearest_heard(path) == nullptr;
}

LookupState::Node* LookupState::nearest_heard(const Path& path) const {
    std::size_t seen = 0;
    for (const auto& [distance, node] : path.nodes) {
        const Phase phase = node->phase;
        if (phase == Phase::failed || phase == Phase::stalled) continue;
        if (phase == Phase::heard) return node;
        // Beyond the result there is nothing to find.
        if (++seen >= options_.result_size) return nullptr;
    }
    return nullptr;
}

std::optional<PeerId> LookupState::next() {
    if (is_stopped_ || queries_ >= options_.queries_max) return std::nullopt;
    const std::size_t share = std::max<std::size_t>(options_.parallel / paths_.size(), 1);
    for (std::size_t turn = 0; turn < paths_.size(); ++turn) {
        const std::size_t index = (next_path_ + turn) % paths_.size();
        Path& path = paths_[index];
        if (path.under_way >= share || is_finished(path)) continue;
        Node* const nearest = nearest_heard(path);
        if (nearest == nullptr) continue;
        nearest->phase = Phase::asked;
        nearest->path = index;
        ++path.under_way;
        ++queries_;
        next_path_ = (index + 1) % paths_.size();
        return nearest->peer;
    }
    return std::nullopt;
}

LookupState::Node* LookupState::find_asked(const PeerId& peer) {
    const auto found = nodes_.find(Distance::between(options_.target, KadKey::of(peer)));
    if (found == nodes_.end()) return nullptr;
    Node& node = found->second;
    if (node.phase == Phase::asked)
        --paths_[node.path].under_way;
    else if (node.phase == Phase::stalled)
        --paths_[node.path].stalled;
    else
        return nullptr;
    return &node;
}

void LookupState::answered(const PeerId& peer, std::span<const PeerId> closer) {
    Node* const node = find_asked(peer);
    if (node == nullptr) return;
    node->phase = Phase::answered;
    for (const PeerId& next : closer)
        learn(node->path, next, node->hops + 1);
}

void LookupState::failed(const PeerId& peer) {
    Node* const node = find_asked(peer);
    if (node != nullptr) node->phase = Phase::failed;
}

bool LookupState::is_asked(const PeerId& peer) const {
    const auto found = nodes_.find(Distance::between(options_.target, KadKey::of(peer)));
    return found != nodes_.end() && found->second.phase == Phase::asked;
}

void LookupState::stalled(const PeerId& peer) {
    const auto found = nodes_.find(Distance::between(options_.target, KadKey::of(peer)));
    if (found == nodes_.end() || found->second.phase != Phase::asked) return;
    found->second.phase = Phase::stalled;
    --paths_[found->second.path].under_way;
    ++paths_[found->second.path].stalled;
}

bool LookupState::is_over() const {
    if (is_stopped_) return true;
    const auto is_under_way = [](const Path& path) {
        return path.under_way + path.stalled > 0;
    };
    if (queries_ >= options_.queries_max && std::ranges::none_of(paths_, is_under_way)) return true;
    return std::ranges::all_of(paths_, [this](const Path& path) { return is_finished(path); });
}

std::vector<PeerId> LookupState::closest() const {
    std::vector<PeerId> found;
    for (const auto& [distance, node] : nodes_) {
        if (found.size() >= options_.result_size) break;
        if (node.phase != Phase::failed) found.push_back(node.peer);
    }
    return found;
}

std::vector<PeerId> LookupState::answerers() const {
    std::vector<PeerId> found;
    for (const auto& [distance, node] : nodes_)
        if (node.phase == Phase::answered) found.push_back(node.peer);
    return found;
}

unsigned LookupState::hops() const {
    for (const auto& [distance, node] : nodes_)
        if (node.phase == Phase::answered) return node.hops;
    return 0;
}

}  // namespace kwaai::p2p::kad
