// Values and providers that a node keeps for others.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "io/clock.hpp"
#include "p2p/kad/dht_limits.hpp"
#include "p2p/kad/kad_key.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p::kad {

/// A record, for another process. The key itself is not kept, only where it lies.
struct KeptRecord {
    KadKey point;
    codec::Buffer value;
    io::Duration left{};  // of its lifetime
};

/// Values by key. Where it is full, what lies furthest from this node makes room: others keep it
/// rather. Pure; the caller has validated what it puts.
class RecordStore {
public:
    RecordStore(const PeerId& self, const DhtLimits& limits);

    /// Replaces the key's value and begins its lifetime. `Errc::limit_exceeded` where it is full of
    /// nearer ones.
    [[nodiscard]] Result<> put(const codec::Buffer& key, codec::Buffer value, io::TimePoint now);
    /// Nothing once it has expired. Valid until the next call that changes the store.
    [[nodiscard]] const codec::Buffer* get(const codec::Buffer& key, io::TimePoint now) const;
    void expire(io::TimePoint now);

    /// All, nearest to this node first.
    [[nodiscard]] std::vector<KeptRecord> kept(io::TimePoint now) const;
    /// As put(), for what is left of a lifetime. Whoever gets it has it validated.
    [[nodiscard]] Result<> put_back(KeptRecord record, io::TimePoint now);

    /// Rises with every change.
    [[nodiscard]] std::uint64_t changes() const { return changes_; }

    [[nodiscard]] std::size_t size() const { return entries_.size(); }

    [[nodiscard]] std::size_t bytes() const { return bytes_; }

private:
    struct Entry {
        codec::Buffer value;
        io::TimePoint expires;
    };

    using Entries = std::map<Distance, Entry>;

    [[nodiscard]] Distance distance_of(const codec::Buffer& key) const;
    Entries::iterator erase(Entries::iterator entry);
    [[nodiscard]] Result<> put_at(const Distance& distance,
                                  codec::Buffer value,
                                  io::TimePoint expires);

    KadKey self_;
    DhtLimits limits_;
    Entries entries_;
    std::size_t bytes_ = 0;  // of values
    std::uint64_t changes_ = 0;
};

struct Provider {
    PeerId peer;
    std::vector<Multiaddr> addresses;  // none once they are too old
};

/// A provider of a key, for another process.
struct KeptProvider {
    KadKey point;
    Provider provider;
    io::Duration age{};  // since it was told
};

/// Who has what. Of a key the provider that was told longest ago makes room, of the keys the one
/// furthest from this node. Pure.
class ProviderStore {
public:
    ProviderStore(const PeerId& self, const DhtLimits& limits);

    /// Also renews a provider that is known. `Errc::limit_exceeded` where it is full of nearer
    /// keys.
    [[nodiscard]] Result<> add(const codec::Buffer& key, Provider provider, io::TimePoint now);
    /// Told last first.
    [[nodiscard]] std::vector<Provider> get(const codec::Buffer& key, io::TimePoint now) const;
    void remove(const codec::Buffer& key, const PeerId& peer);
    void expire(io::TimePoint now);

    /// At most `max`, of the keys nearest to this node.
    [[nodiscard]] std::vector<KeptProvider> kept(std::size_t max, io::TimePoint now) const;
    /// As add(); of a key those that were told longest ago come first.
    [[nodiscard]] Result<> add_back(KeptProvider kept, io::TimePoint now);

    /// Rises with every change.
    [[nodiscard]] std::uint64_t changes() const { return changes_; }

    [[nodiscard]] std::size_t size() const { return keys_.size(); }

private:
    struct Entry {
        Provider provider;
        io::TimePoint told;
    };

    [[nodiscard]] Distance distance_of(const codec::Buffer& key) const;
    [[nodiscard]] Result<> add_at(const Distance& distance, Provider provider, io::TimePoint told);

    KadKey self_;
    DhtLimits limits_;
    std::map<Distance, std::vector<Entry>> keys_;  // each told longest ago first
    std::uint64_t changes_ = 0;
};

}  // namespace kwaai::p2p::kad
