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
    return entries_.erase(entry);
}

Result<> RecordStore::put(const codec::Buffer& key, codec::Buffer value, io::TimePoint now) {
    const Distance distance = distance_of(key);
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
    entries_.emplace(distance,
                     Entry{.value = std::move(value), .expires = now + limits_.record_lifetime});
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
    const Distance distance = distance_of(key);
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
    entries.push_back({.provider = std::move(provider), .told = now});
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
}

void ProviderStore::expire(io::TimePoint now) {
    for (auto& [distance, entries] : keys_)
        std::erase_if(entries, [&](const Entry& entry) {
            return now - entry.told >= limits_.provider_lifetime;
        });
    std::erase_if(keys_, [](const auto& key) { return key.second.empty(); });
}

}  // namespace kwaai::p2p::kad
