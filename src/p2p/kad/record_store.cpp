#include "p2p/kad/record_store.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace kwaai::p2p::kad {

RecordStore::RecordStore(const PeerId& self, const DhtLimits& limits)
    : self_(KadKey::of(self)), limits_(limits) {}

Distance RecordStore::distance_of(const codec::Buffer& key) const {
    return Distance::between(self_, KadKey::of(Bytes(key)));
}

RecordStore::Entries::iterator RecordStore::erase(Entries::iterator entry) {
    bytes_ -= entry->second.value.size();
    ++changes_;
    return entries_.erase(entry);
}

Result<> RecordStore::put(const codec::Buffer& key, codec::Buffer value, io::TimePoint now) {
    return put_at(distance_of(key), std::move(value), now + limits_.record_lifetime);
}

std::vector<KeptRecord> RecordStore::kept(io::TimePoint now) const {
    std::vector<KeptRecord> all;
    for (const auto& [distance, entry] : entries_)
        if (entry.expires > now)
            all.push_back({.point = point_at(self_, distance),
                           .value = entry.value,
                           .left = entry.expires - now});
    return all;
}

Result<> RecordStore::put_back(KeptRecord record, io::TimePoint now) {
    const io::Duration left = std::min<io::Duration>(record.left, limits_.record_lifetime);
    return put_at(Distance::between(self_, record.point), std::move(record.value), now + left);
}

Result<> RecordStore::put_at(const Distance& distance, codec::Buffer value, io::TimePoint expires) {
    const std::size_t size = value.size();
    if (const auto known = entries_.find(distance); known != entries_.end()) erase(known);
    while (!entries_.empty() &&
           (entries_.size() >= limits_.records_max || bytes_ + size > limits_.records_bytes_max)) {
        const auto furthest = std::prev(entries_.end());
        if (furthest->first < distance) break;
        erase(furthest);
    }
    if (entries_.size() >= limits_.records_max || bytes_ + size > limits_.records_bytes_max)
        return fail(Errc::limit_exceeded, "the store is full of records nearer to this node");
    bytes_ += size;
    ++changes_;
    entries_.emplace(distance, Entry{.value = std::move(value), .expires = expires});
    return {};
}

const codec::Buffer* RecordStore::get(const codec::Buffer& key, io::TimePoint now) const {
    const auto found = entries_.find(distance_of(key));
    if (found == entries_.end() || found->second.expires <= now) return nullptr;
    return &found->second.value;
}

void RecordStore::expire(io::TimePoint now) {
    for (auto entry = entries_.begin(); entry != entries_.end();)
        entry = entry->second.expires <= now ? erase(entry) : std::next(entry);
}

ProviderStore::ProviderStore(const PeerId& self, const DhtLimits& limits)
    : self_(KadKey::of(self)), limits_(limits) {}

Distance ProviderStore::distance_of(const codec::Buffer& key) const {
    return Distance::between(self_, KadKey::of(Bytes(key)));
}

Result<> ProviderStore::add(const codec::Buffer& key, Provider provider, io::TimePoint now) {
    return add_at(distance_of(key), std::move(provider), now);
}

std::vector<KeptProvider> ProviderStore::kept(std::size_t max, io::TimePoint now) const {
    std::vector<KeptProvider> all;
    for (const auto& [distance, entries] : keys_)
        for (const Entry& entry : entries) {
            if (all.size() >= max) return all;
            all.push_back({.point = point_at(self_, distance),
                           .provider = entry.provider,
                           .age = now - entry.told});
        }
    return all;
}

Result<> ProviderStore::add_back(KeptProvider kept, io::TimePoint now) {
    const io::TimePoint told = now - std::max(kept.age, io::Duration{});
    return add_at(Distance::between(self_, kept.point), std::move(kept.provider), told);
}

Result<> ProviderStore::add_at(const Distance& distance, Provider provider, io::TimePoint told) {
    if (!keys_.contains(distance) && keys_.size() >= limits_.provider_keys_max) {
        const auto furthest = std::prev(keys_.end());
        if (furthest->first < distance)
            return fail(Errc::limit_exceeded, "the store is full of keys nearer to this node");
        keys_.erase(furthest);
    }
    if (provider.addresses.size() > limits_.addresses_sent_max)
        provider.addresses.erase(
            provider.addresses.begin() + static_cast<std::ptrdiff_t>(limits_.addresses_sent_max),
            provider.addresses.end());
    std::vector<Entry>& entries = keys_[distance];
    std::erase_if(entries,
                  [&](const Entry& entry) { return entry.provider.peer == provider.peer; });
    if (entries.size() >= limits_.providers_per_key_max) entries.erase(entries.begin());
    entries.push_back({.provider = std::move(provider), .told = told});
    ++changes_;
    return {};
}

std::vector<Provider> ProviderStore::get(const codec::Buffer& key, io::TimePoint now) const {
    std::vector<Provider> found;
    const auto known = keys_.find(distance_of(key));
    if (known == keys_.end()) return found;
    for (auto entry = known->second.rbegin(); entry != known->second.rend(); ++entry) {
        const io::Duration age = now - entry->told;
        if (age >= limits_.provider_lifetime) continue;
        found.push_back(entry->provider);
        if (age >= limits_.provider_address_lifetime) found.back().addresses.clear();
    }
    return found;
}

void ProviderStore::remove(const codec::Buffer& key, const PeerId& peer) {
    const auto known = keys_.find(distance_of(key));
    if (known == keys_.end()) return;
    std::erase_if(known->second, [&](const Entry& entry) { return entry.provider.peer == peer; });
    if (known->second.empty()) keys_.erase(known);
    ++changes_;
}

void ProviderStore::expire(io::TimePoint now) {
    for (auto& [distance, entries] : keys_)
        std::erase_if(entries, [&](const Entry& entry) {
            return now - entry.told >= limits_.provider_lifetime;
        });
    std::erase_if(keys_, [](const auto& key) { return key.second.empty(); });
}

}  // namespace kwaai::p2p::kad
