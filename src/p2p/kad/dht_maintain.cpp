// What keeps the table and the stores in order.
#include <algorithm>
#include <array>
#include <utility>

#include "codec/multihash.hpp"
#include "io/timeout.hpp"
#include "p2p/kad/dht_state.hpp"

namespace kwaai::p2p::kad {
namespace {

constexpr unsigned kTriesMax = 1 << 14;  // of random keys, until one has the prefix

}  // namespace

void Dht::State::offer(const PeerId& peer, bool has_answered) {
    if (table.contains(peer) || checking.contains(peer) || !table.has_place_for(peer, {})) return;
    for (Candidate& waiting : candidates) {
        if (waiting.peer != peer) continue;
        waiting.has_answered |= has_answered;
        return;
    }
    if (candidates.size() >= options.limits.candidates_max) return;
    candidates.push_back({.peer = peer, .has_answered = has_answered});
    candidates_changed.notify_all();
}

io::Task<void> Dht::State::check(Candidate candidate) {
    const PeerId peer = candidate.peer;
    auto identifying = host.identify(peer);
    const auto info =
        co_await io::with_timeout(clock, options.limits.rpc_timeout_max, std::move(identifying));
    if (!info) co_return;
    const std::vector<std::string>& spoken = info->protocols;
    if (std::ranges::find(spoken, options.protocol) == spoken.end()) co_return;
    if (options.admits && !options.admits(*info)) co_return;
    // Where the connection leads, not where the peer says that it is.
    std::vector<Multiaddr> addresses;
    if (info->connected) addresses.push_back(*info->connected);
    // Two peers without a place for each other would ask each other without end, since whoever is
    // asked looks at the asker.
    if (!table.contains(peer) && !table.has_place_for(peer, addresses)) co_return;
    if (!candidate.has_answered) {
        Message request{.type = MessageType::find_node, .key = codec::to_buffer(host.id().bytes())};
        const auto reply = co_await ask(peer, std::move(request), Patience::usual);
        if (!reply) co_return;
    }
    const auto outcome = table.add(peer, addresses, clock.now());
    const bool is_new = outcome == RoutingTable::Outcome::added;
    if (is_new || outcome == RoutingTable::Outcome::known)
        known_peers.answered(peer, host.known_addresses(peer), clock.now());
    if (is_new) protect_neighbours();
}

void Dht::State::protect_neighbours() {
    const std::vector<PeerId> nearest =
        table.closest(KadKey::of(host.id()), options.limits.bucket_size);
    const std::set<PeerId> wanted(nearest.begin(), nearest.end());
    for (const PeerId& peer : neighbours)
        if (!wanted.contains(peer)) host.unprotect(peer, options.protocol);
    for (const PeerId& peer : wanted)
        if (!neighbours.contains(peer)) host.protect(peer, options.protocol);
    neighbours = wanted;
}

io::Task<void> Dht::State::check_candidates() {
    while (true) {
        while (candidates.empty())
            co_await candidates_changed.wait();
        Candidate candidate = std::move(candidates.front());
        candidates.pop_front();
        const PeerId peer = candidate.peer;
        if (table.contains(peer) || !checking.insert(peer).second) continue;
        co_await check(std::move(candidate));
        checking.erase(peer);
    }
}

// A peer id, as other implementations want one, whose key has exactly so much in common with ours.
std::optional<codec::Buffer> Dht::State::key_of_prefix(unsigned prefix) {
    const KadKey self = KadKey::of(host.id());
    for (unsigned tries = 0; tries < kTriesMax; ++tries) {
        std::array<std::byte, 32> digest{};
        for (std::byte& byte : digest)
            byte = static_cast<std::byte>(random.next());
        codec::Buffer key = codec::make_multihash(codec::HashCode::sha2_256, digest);
        if (common_prefix(self, KadKey::of(Bytes(key))) == prefix) return key;
    }
    return std::nullopt;
}

void Dht::State::note_known() {
    const std::vector<PeerId> silent = table.silent(clock.now());
    for (const PeerId& peer : table.peers())
        if (std::ranges::find(silent, peer) == silent.end())
            known_peers.answered(peer, host.known_addresses(peer), clock.now());
}

// Some of those that left the table may be there again, or only now: so do the halves of a network
// that fell apart find each other.
io::Task<void> Dht::State::try_known() {
    std::vector<KnownPeer> others = known_peers.latest(options.limits.known_peers_max);
    std::erase_if(others, [this](const KnownPeer& one) { return table.contains(one.peer); });
    std::vector<PeerId> chosen;
    while (!others.empty() && chosen.size() < options.limits.known_peers_tried) {
        const auto index = static_cast<std::ptrdiff_t>(random.next() % others.size());
        for (const Multiaddr& address : others[static_cast<std::size_t>(index)].addresses)
            host.add_address(others[static_cast<std::size_t>(index)].peer, address);
        chosen.push_back(others[static_cast<std::size_t>(index)].peer);
        others.erase(others.begin() + index);
    }
    Spread tries{
        .message = {.type = MessageType::find_node, .key = codec::to_buffer(host.id().bytes())},
        .peers = std::move(chosen)};
    co_await spread(tries);
}

io::Task<void> Dht::State::refresh() {
    note_known();
    co_await try_known();
    const std::vector<PeerId> silent = table.silent(clock.now());
    Spread probes{
        .message = {.type = MessageType::find_node, .key = codec::to_buffer(host.id().bytes())},
        .peers = silent};
    co_await spread(probes);
    auto looking = closest_peers(codec::to_buffer(host.id().bytes()));
    const auto own = co_await std::move(looking);
    if (!own) co_return;
    for (const unsigned prefix : table.stale(clock.now())) {
        auto key = key_of_prefix(prefix);
        if (!key) continue;
        auto refreshing = closest_peers(std::move(*key));
        const auto found = co_await std::move(refreshing);
        if (found) table.refreshed(prefix, clock.now());
    }
}

io::Task<void> Dht::State::keep_fresh() {
    while (true) {
        co_await clock.sleep_for(options.limits.refresh_interval);
        co_await refresh();
    }
}

io::Task<void> Dht::State::publish_again() {
    while (true) {
        co_await clock.sleep_for(options.limits.republish_interval);
        const std::map<codec::Buffer, codec::Buffer> values = published;
        for (const auto& [key, value] : values) {
            if (!options.validators.validate(key, value)) {
                published.erase(key);
                continue;
            }
            const Result<> is_stored = records.put(key, value, clock.now());
            static_cast<void>(is_stored);
            const auto count = co_await publish(key, value);
            static_cast<void>(count);  // the next round tries again
        }
        const std::set<codec::Buffer> keys = provided;
        for (const codec::Buffer& key : keys) {
            if (!provided.contains(key)) continue;
            const auto count = co_await announce(key);
            static_cast<void>(count);
        }
    }
}

io::Task<void> Dht::State::forget_expired() {
    while (true) {
        co_await clock.sleep_for(options.limits.expiry_interval);
        records.expire(clock.now());
        providers.expire(clock.now());
    }
}

}  // namespace kwaai::p2p::kad
