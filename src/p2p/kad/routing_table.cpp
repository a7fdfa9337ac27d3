#include "p2p/kad/routing_table.hpp"

#include <algorithm>
#include <utility>

#include "p2p/kad/address_scope.hpp"

namespace kwaai::p2p::kad {
namespace {

constexpr std::size_t kBucketsMax = 256;

}  // namespace

RoutingTable::RoutingTable(PeerId self, const DhtLimits& limits)
    : self_(std::move(self)), self_key_(KadKey::of(self_)), limits_(limits) {}

const RoutingTable::Bucket& RoutingTable::bucket_of(const KadKey& key) const {
    const std::size_t prefix = common_prefix(self_key_, key);
    return buckets_[std::min(prefix, buckets_.size() - 1)];
}

RoutingTable::Bucket& RoutingTable::bucket_of(const KadKey& key) {
    const std::size_t prefix = common_prefix(self_key_, key);
    return buckets_[std::min(prefix, buckets_.size() - 1)];
}

std::set<std::string> RoutingTable::networks_of(std::span<const Multiaddr> addresses) const {
    std::set<std::string> networks;
    for (const Multiaddr& address : addresses)
        if (auto network = network_of(address, limits_.is_private_network_exempt))
            networks.insert(std::move(*network));
    return networks;
}

bool RoutingTable::has_place_for(const PeerId& peer, std::span<const Multiaddr> addresses) const {
    if (peer == self_) return false;
    const Bucket& bucket = bucket_of(KadKey::of(peer));
    if (!has_room_for(bucket, networks_of(addresses))) return false;
    if (bucket.entries.size() < limits_.bucket_size) return true;
    if (&bucket == &buckets_.back() && buckets_.size() < kBucketsMax) return true;
    return std::ranges::any_of(bucket.entries,
                               [](const Entry& entry) { return entry.failures > 0; });
}

RoutingTable::Entry* RoutingTable::find(const PeerId& peer) {
    for (Entry& entry : bucket_of(KadKey::of(peer)).entries)
        if (entry.peer == peer) return &entry;
    return nullptr;
}

bool RoutingTable::has_room_for(const Bucket& bucket, const std::set<std::string>& networks) const {
    for (const std::string& network : networks) {
        const auto is_of_it = [&](const Entry& entry) {
            return entry.networks.contains(network);
        };
        const auto in_bucket =
            static_cast<std::size_t>(std::ranges::count_if(bucket.entries, is_of_it));
        if (in_bucket >= limits_.bucket_peers_of_network_max) return false;
        std::size_t in_table = 0;
        for (const Bucket& other : buckets_)
            in_table += static_cast<std::size_t>(std::ranges::count_if(other.entries, is_of_it));
        if (in_table >= limits_.table_peers_of_network_max) return false;
    }
    return true;
}

void RoutingTable::split_last() {
    const std::size_t last = buckets_.size() - 1;
    Bucket further;
    further.refreshed = buckets_[last].refreshed;
    std::vector<Entry> kept;
    for (Entry& entry : buckets_[last].entries) {
        const bool is_further = common_prefix(self_key_, entry.key) > last;
        (is_further ? further.entries : kept).push_back(std::move(entry));
    }
    buckets_[last].entries = std::move(kept);
    buckets_.push_back(std::move(further));
}

RoutingTable::Outcome RoutingTable::add(const PeerId& peer,
                                        std::span<const Multiaddr> addresses,
                                        io::TimePoint now) {
    if (peer == self_) return Outcome::is_self;
    if (find(peer) != nullptr) {
        answered(peer, now);
        return Outcome::known;
    }
    Entry entry{
        .peer = peer, .key = KadKey::of(peer), .networks = networks_of(addresses), .heard = now};
    while (&bucket_of(entry.key) == &buckets_.back() &&
           buckets_.back().entries.size() >= limits_.bucket_size && buckets_.size() < kBucketsMax)
        split_last();
    Bucket& bucket = bucket_of(entry.key);
    if (!has_room_for(bucket, entry.networks)) return Outcome::network_full;
    if (bucket.entries.size() >= limits_.bucket_size) {
        const auto failing =
            std::ranges::find_if(bucket.entries, [](const Entry& one) { return one.failures > 0; });
        if (failing == bucket.entries.end()) return Outcome::bucket_full;
        bucket.entries.erase(failing);
    }
    bucket.entries.push_back(std::move(entry));
    return Outcome::added;
}

void RoutingTable::answered(const PeerId& peer, io::TimePoint now) {
    Entry* const entry = find(peer);
    if (entry == nullptr) return;
    entry->failures = 0;
    entry->heard = now;
}

bool RoutingTable::failed(const PeerId& peer) {
    Entry* const entry = find(peer);
    if (entry == nullptr || ++entry->failures < limits_.failures_max) return false;
    remove(peer);
    return true;
}

void RoutingTable::remove(const PeerId& peer) {
    std::erase_if(bucket_of(KadKey::of(peer)).entries,
                  [&](const Entry& entry) { return entry.peer == peer; });
}

bool RoutingTable::contains(const PeerId& peer) const {
    return std::ranges::any_of(bucket_of(KadKey::of(peer)).entries,
                               [&](const Entry& entry) { return entry.peer == peer; });
}

std::vector<PeerId> RoutingTable::closest(const KadKey& target, std::size_t count) const {
    std::vector<std::pair<Distance, const PeerId*>> sorted;
    sorted.reserve(size());
    for (const Bucket& bucket : buckets_)
        for (const Entry& entry : bucket.entries)
            sorted.emplace_back(Distance::between(target, entry.key), &entry.peer);
    const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(std::min(count, sorted.size()));
    std::ranges::partial_sort(sorted, end);
    std::vector<PeerId> found;
    for (auto at = sorted.begin(); at != end; ++at)
        found.push_back(*at->second);
    return found;
}

std::vector<PeerId> RoutingTable::peers() const {
    std::vector<PeerId> all;
    for (const Bucket& bucket : buckets_)
        for (const Entry& entry : bucket.entries)
            all.push_back(entry.peer);
    return all;
}

std::size_t RoutingTable::size() const {
    std::size_t count = 0;
    for (const Bucket& bucket : buckets_)
        count += bucket.entries.size();
    return count;
}

std::vector<PeerId> RoutingTable::silent(io::TimePoint now) const {
    std::vector<PeerId> found;
    for (const Bucket& bucket : buckets_)
        for (const Entry& entry : bucket.entries)
            if (now - entry.heard >= limits_.probe_after) found.push_back(entry.peer);
    return found;
}

std::vector<unsigned> RoutingTable::stale(io::TimePoint now) const {
    std::vector<unsigned> found;
    for (unsigned prefix = 0; prefix < buckets_.size() && prefix <= limits_.refresh_prefix_max;
         ++prefix) {
        const io::TimePoint refreshed = buckets_[prefix].refreshed;
        if (refreshed == io::TimePoint() || now - refreshed >= limits_.refresh_interval)
            found.push_back(prefix);
    }
    return found;
}

void RoutingTable::refreshed(unsigned prefix, io::TimePoint now) {
    buckets_[std::min<std::size_t>(prefix, buckets_.size() - 1)].refreshed = now;
}

}  // namespace kwaai::p2p::kad
