// The pure parts: routing table, lookups, stores, timings, addresses.
#include <algorithm>
#include <map>

#include <doctest/doctest.h>

#include "codec/multihash.hpp"
#include "p2p/host_world_test.hpp"
#include "p2p/kad/address_scope.hpp"
#include "p2p/kad/known_peers.hpp"
#include "p2p/kad/lookup_state.hpp"
#include "p2p/kad/peer_timings.hpp"
#include "p2p/kad/record_store.hpp"
#include "p2p/kad/routing_table.hpp"

namespace kwaai::p2p::kad {
namespace {

using namespace std::chrono_literals;

constexpr io::TimePoint kStart{1h};

PeerId make_peer(std::uint64_t number) {
    std::array<std::byte, 32> digest{};
    for (std::size_t i = 0; i < 8; ++i)
        digest[i] = static_cast<std::byte>(number >> (8 * i));
    return PeerId::from_bytes(codec::make_multihash(codec::HashCode::sha2_256, digest)).value();
}

std::vector<Multiaddr> at(const std::string& ip) {
    return {Multiaddr::parse("/ip4/" + ip + "/tcp/4001").value()};
}

std::vector<PeerId> sorted_by(const KadKey& target, std::vector<PeerId> peers) {
    std::ranges::sort(
        peers, {}, [&](const PeerId& peer) { return Distance::between(target, KadKey::of(peer)); });
    return peers;
}

TEST_CASE("a table keeps all peers near to it and a bucket's worth of each distance") {
    const PeerId self = make_peer(0);
    RoutingTable table(self, {});
    std::vector<PeerId> all;
    for (std::uint64_t number = 1; number <= 2000; ++number) {
        all.push_back(make_peer(number));
        table.add(all.back(), {}, kStart);
    }
    std::map<unsigned, std::size_t> of_prefix;
    for (const PeerId& peer : table.peers())
        ++of_prefix[common_prefix(KadKey::of(self), KadKey::of(peer))];
    CHECK(of_prefix[0] == 20);
    CHECK(of_prefix[3] == 20);
    const std::vector<PeerId> nearest = sorted_by(KadKey::of(self), all);
    for (std::size_t i = 0; i < 15; ++i)
        CHECK(table.contains(nearest[i]));
    CHECK(table.closest(KadKey::of(self), 10) ==
          std::vector<PeerId>(nearest.begin(), nearest.begin() + 10));
    CHECK(table.add(self, {}, kStart) == RoutingTable::Outcome::is_self);
}

TEST_CASE(
    "a peer that fails twice in a row leaves, and one that failed makes room in a full bucket") {
    DhtLimits limits;
    limits.bucket_size = 2;
    RoutingTable table(make_peer(0), limits);
    std::vector<PeerId> far;
    for (std::uint64_t number = 1; far.size() < 4; ++number)
        if (common_prefix(KadKey::of(make_peer(0)), KadKey::of(make_peer(number))) == 0)
            far.push_back(make_peer(number));
    table.add(far[0], {}, kStart);
    table.add(far[1], {}, kStart);
    CHECK(table.add(far[2], {}, kStart) == RoutingTable::Outcome::bucket_full);
    CHECK_FALSE(table.failed(far[0]));
    table.answered(far[0], kStart);
    CHECK_FALSE(table.failed(far[0]));
    CHECK(table.add(far[2], {}, kStart) == RoutingTable::Outcome::added);
    CHECK_FALSE(table.contains(far[0]));
    CHECK_FALSE(table.failed(far[1]));
    CHECK(table.failed(far[1]));
    CHECK(table.peers() == std::vector<PeerId>{far[2]});
}

TEST_CASE("few peers of one public network enter a table, and as many as come of a private one") {
    RoutingTable table(make_peer(0), {});
    std::size_t of_public = 0;
    for (std::uint64_t number = 1; number < 50; ++number) {
        const auto outcome =
            table.add(make_peer(number), at("8.8.1." + std::to_string(number)), kStart);
        if (outcome == RoutingTable::Outcome::added)
            ++of_public;
        else
            CHECK(outcome == RoutingTable::Outcome::network_full);
    }
    CHECK(of_public <= 3);
    CHECK(of_public >= 2);
    for (std::uint64_t number = 100; number < 110; ++number)
        CHECK(table.add(make_peer(number), at("10.0.0." + std::to_string(number)), kStart) ==
              RoutingTable::Outcome::added);
}

TEST_CASE("a table has a place for whom it takes in, and for nobody in a full bucket or network") {
    DhtLimits limits;
    limits.bucket_size = 2;
    RoutingTable table(make_peer(0), limits);
    std::size_t refused = 0;
    for (std::uint64_t i = 0; i < 200; ++i) {
        const bool has_place = table.has_place_for(make_peer(i), {});
        const auto outcome = table.add(make_peer(i), {}, kStart);
        if (outcome == RoutingTable::Outcome::added) CHECK(has_place);
        refused += has_place ? 0 : 1;
    }
    CHECK(refused > 150);
    RoutingTable crowded(make_peer(0), {});
    for (std::uint64_t i = 1; i < 50; ++i)
        static_cast<void>(crowded.add(make_peer(i), at("8.8.4.4"), kStart));
    CHECK(crowded.size() == 2);  // one bucket as yet
    CHECK_FALSE(crowded.has_place_for(make_peer(60), at("8.8.1.1")));
    CHECK(crowded.has_place_for(make_peer(60), at("8.9.1.1")));
}

TEST_CASE("peers that answered are known by the last time that they did, the oldest give way") {
    DhtLimits limits;
    limits.known_peers_max = 3;
    KnownPeers known(limits);
    known.answered(make_peer(9), {}, kStart);
    CHECK(known.size() == 0);
    for (std::uint64_t i = 0; i < 4; ++i)
        known.answered(make_peer(i), at("10.0.0.1"), kStart + i * 1s);
    known.answered(make_peer(1), at("10.0.0.2"), kStart + 9s);
    CHECK(known.size() == 3);
    const std::vector<KnownPeer> latest = known.latest(2);
    REQUIRE(latest.size() == 2);
    CHECK(latest[0].peer == make_peer(1));
    CHECK(latest[0].addresses == at("10.0.0.2"));
    CHECK(latest[0].answered == kStart + 9s);
    CHECK(latest[1].peer == make_peer(3));
    CHECK(known.latest(10).back().peer == make_peer(2));
}

TEST_CASE("silent peers are named, and stale buckets until they are refreshed") {
    RoutingTable table(make_peer(0), {});
    table.add(make_peer(1), {}, kStart);
    table.add(make_peer(2), {}, kStart + 20min);
    CHECK(table.silent(kStart + 31min) == std::vector<PeerId>{make_peer(1)});
    table.answered(make_peer(1), kStart + 25min);
    CHECK(table.silent(kStart + 31min).empty());
    CHECK(table.stale(kStart) == std::vector<unsigned>{0});
    table.refreshed(0, kStart);
    CHECK(table.stale(kStart + 5min).empty());
    CHECK(table.stale(kStart + 10min) == std::vector<unsigned>{0});
}

TEST_CASE(
    "a lookup over two thousand tables finds the three nearest in at most four hops, mostly") {
    constexpr std::uint64_t kTables = 2000;
    std::map<PeerId, RoutingTable> tables;
    for (std::uint64_t number = 0; number < kTables; ++number)
        tables.emplace(make_peer(number), RoutingTable(make_peer(number), {}));
    CounterRandom random(1);
    for (auto& [peer, table] : tables)
        for (int i = 0; i < 600; ++i)
            table.add(make_peer(random.next() % kTables), {}, kStart);
    // The neighbours, as a node's lookup of itself brings them.
    std::map<Distance, PeerId> ring;
    for (const auto& [peer, table] : tables)
        ring.emplace(Distance{KadKey::of(peer).bytes}, peer);
    for (auto one = ring.begin(); one != ring.end(); ++one) {
        auto other = one;
        for (int i = 0; i < 30 && ++other != ring.end(); ++i) {
            tables.at(one->second).add(other->second, {}, kStart);
            tables.at(other->second).add(one->second, {}, kStart);
        }
    }
    std::vector<unsigned> hops;
    std::size_t right = 0;
    constexpr std::size_t kLookups = 200;
    for (std::size_t i = 0; i < kLookups; ++i) {
        const KadKey target = KadKey::of(make_peer(100000 + i));
        const PeerId self = make_peer(random.next() % kTables);
        LookupState lookup(self, {.target = target, .paths = 1 + i % 2});
        lookup.add_seeds(tables.at(self).closest(target, 20));
        while (!lookup.is_over()) {
            std::vector<PeerId> asked;
            while (const auto peer = lookup.next())
                asked.push_back(*peer);
            REQUIRE_FALSE(asked.empty());
            for (const PeerId& peer : asked)
                // A fifth of the nodes is dead.
                if (Bytes(peer.bytes())[2] < std::byte{51})
                    lookup.failed(peer);
                else
                    lookup.answered(peer, tables.at(peer).closest(target, 20));
        }
        std::map<Distance, PeerId> sorted;
        for (const auto& [peer, table] : tables)
            if (peer != self && Bytes(peer.bytes())[2] >= std::byte{51})
                sorted.emplace(Distance::between(target, KadKey::of(peer)), peer);
        const std::vector<PeerId> answered = lookup.answerers();
        auto expected = sorted.begin();
        bool is_right = answered.size() >= 3;
        for (std::size_t at = 0; is_right && at < 3; ++at, ++expected)
            is_right = answered[at] == expected->second;
        if (is_right) ++right;
        hops.push_back(lookup.hops());
    }
    std::ranges::sort(hops);
    CHECK(right * 100 >= kLookups * 99);
    CHECK(hops[hops.size() / 2] <= 4);
}

TEST_CASE("no peer is asked twice, nor is the asker, and failures end a lookup") {
    const PeerId self = make_peer(0);
    LookupState lookup(self, {.target = KadKey::of(make_peer(99)), .parallel = 4, .paths = 2});
    const std::vector<PeerId> seeds{make_peer(1), make_peer(2), make_peer(3)};
    lookup.add_seeds(seeds);
    std::map<PeerId, int> asked;
    std::uint64_t invented = 1000;
    while (!lookup.is_over()) {
        const auto peer = lookup.next();
        REQUIRE(peer.has_value());
        ++asked[*peer];
        // A liar leads to peers that do not exist, to the asker and back to those that are known.
        std::vector<PeerId> lies{self, make_peer(1), make_peer(2)};
        if (*peer == make_peer(3))
            for (int i = 0; i < 10; ++i)
                lies.push_back(make_peer(invented++));
        if (*peer == make_peer(1) || *peer == make_peer(2) || *peer == make_peer(3))
            lookup.answered(*peer, lies);
        else
            lookup.failed(*peer);
        lookup.answered(*peer, lies);  // once more than it was asked
    }
    for (const auto& [peer, count] : asked)
        CHECK(count == 1);
    CHECK_FALSE(asked.contains(self));
    CHECK(lookup.answerers().size() == 3);
    CHECK(asked.size() > 3);
}

TEST_CASE("a lookup that is led on for ever ends after its number of queries") {
    LookupState lookup(make_peer(0),
                       {.target = KadKey::of(make_peer(1)), .parallel = 3, .queries_max = 50});
    lookup.add_seeds(std::vector<PeerId>{make_peer(2)});
    std::uint64_t invented = 1000;
    std::size_t count = 0;
    while (!lookup.is_over()) {
        const auto peer = lookup.next();
        REQUIRE(peer.has_value());
        ++count;
        std::vector<PeerId> more;
        for (int i = 0; i < 20; ++i)
            more.push_back(make_peer(invented++));
        if (count % 2 == 0)
            lookup.failed(*peer);
        else
            lookup.answered(*peer, more);
    }
    CHECK(count <= 50);
}

TEST_CASE("a peer that stalls gives its place to others, and its late answer counts") {
    LookupState lookup(make_peer(0),
                       {.target = KadKey::of(make_peer(9)), .parallel = 1, .closest_answered = 3});
    const std::vector<PeerId> seeds{make_peer(1), make_peer(2)};
    lookup.add_seeds(seeds);
    const auto first = lookup.next();
    REQUIRE(first.has_value());
    CHECK_FALSE(lookup.next().has_value());
    lookup.stalled(*first);
    const auto second = lookup.next();
    REQUIRE(second.has_value());
    lookup.answered(*second, {});
    CHECK_FALSE(lookup.is_over());
    lookup.answered(*first, std::vector<PeerId>{make_peer(3)});
    const auto third = lookup.next();
    REQUIRE(third.has_value());
    CHECK(*third == make_peer(3));
    lookup.failed(*third);
    CHECK(lookup.is_over());
    CHECK(lookup.answerers().size() == 2);
}

TEST_CASE("a full store keeps what is nearer, and forgets what is too old") {
    DhtLimits limits;
    limits.records_max = 10;
    RecordStore store(make_peer(0), limits);
    std::map<Distance, codec::Buffer> sorted;
    for (std::uint64_t number = 1; number <= 100; ++number) {
        const codec::Buffer key = codec::to_buffer(make_peer(number).bytes());
        sorted.emplace(Distance::between(KadKey::of(make_peer(0)), KadKey::of(Bytes(key))), key);
        const Result<> stored = store.put(key, codec::Buffer(4), kStart);
        if (!stored) CHECK(stored.error().code == Errc::limit_exceeded);
        CHECK(store.size() <= 10);
    }
    CHECK(store.bytes() == 40);
    auto nearest = sorted.begin();
    for (int i = 0; i < 10; ++i, ++nearest)
        CHECK(store.get(nearest->second, kStart) != nullptr);
    CHECK(store.get(nearest->second, kStart) == nullptr);
    CHECK(store.get(sorted.begin()->second, kStart + 48h) == nullptr);
    store.expire(kStart + 48h);
    CHECK(store.size() == 0);
    CHECK(store.bytes() == 0);
}

TEST_CASE("a store of values bounds their bytes") {
    DhtLimits limits;
    limits.records_bytes_max = 100;
    RecordStore store(make_peer(0), limits);
    for (std::uint64_t number = 1; number <= 50; ++number) {
        const Result<> stored =
            store.put(codec::to_buffer(make_peer(number).bytes()), codec::Buffer(30), kStart);
        static_cast<void>(stored);
        CHECK(store.bytes() <= 100);
    }
    CHECK(store.size() == 3);
    CHECK_FALSE(store.put(codec::Buffer(1), codec::Buffer(101), kStart).has_value());
}

// The class of CVE-2026-35405 and GHSA-v5hw-cv9c-rpg7 (registrations without end).
TEST_CASE("providers of a key are bounded, renewed, and lose their addresses before their place") {
    DhtLimits limits;
    limits.providers_per_key_max = 3;
    ProviderStore store(make_peer(0), limits);
    const codec::Buffer key = provider_key("a key");
    for (std::uint64_t number = 1; number <= 4; ++number)
        REQUIRE(store.add(key, {.peer = make_peer(number), .addresses = at("8.8.8.8")}, kStart));
    REQUIRE(store.add(key, {.peer = make_peer(2), .addresses = at("8.8.4.4")}, kStart + 1h));
    const std::vector<Provider> found = store.get(key, kStart + 1h);
    REQUIRE(found.size() == 3);
    CHECK(found[0].peer == make_peer(2));
    CHECK(found[0].addresses == at("8.8.4.4"));
    CHECK(found[2].peer == make_peer(3));
    CHECK(store.get(key, kStart + 24h)[2].addresses.empty());
    CHECK(store.get(key, kStart + 48h).size() == 1);
    store.expire(kStart + 49h);
    CHECK(store.size() == 0);
}

TEST_CASE("the time that a peer is given follows what it took") {
    PeerTimings timings{DhtLimits()};
    CHECK(timings.reply_timeout(make_peer(1)) == 5s);
    for (int i = 0; i < 50; ++i)
        timings.answered(make_peer(1), 300ms);
    CHECK(timings.reply_timeout(make_peer(1)) >= 900ms);
    CHECK(timings.reply_timeout(make_peer(1)) < 1s);
    CHECK(timings.reply_timeout(make_peer(2)) == timings.reply_timeout(make_peer(1)));
    for (int i = 0; i < 50; ++i)
        timings.answered(make_peer(3), 1ms);
    CHECK(timings.reply_timeout(make_peer(3)) == 500ms);
    timings.answered(make_peer(4), 60s);
    CHECK(timings.reply_timeout(make_peer(4)) == 10s);
    timings.failed(make_peer(5), kStart - 1s);
    CHECK_FALSE(timings.has_failed_lately(make_peer(5), kStart));
    timings.failed(make_peer(5), kStart);
    CHECK(timings.has_failed_lately(make_peer(5), kStart + 59s));
    CHECK_FALSE(timings.has_failed_lately(make_peer(5), kStart + 60s));
    timings.answered(make_peer(5), 1ms);
    CHECK_FALSE(timings.has_failed_lately(make_peer(5), kStart + 1s));
}

TEST_CASE("addresses are believed as far as their teller reaches") {
    const auto all = [] {
        std::vector<Multiaddr> addresses;
        for (const char* const text : {"/ip4/127.0.0.1/tcp/1",
                                       "/ip4/192.168.1.2/tcp/1",
                                       "/ip4/8.8.8.8/tcp/1",
                                       "/ip4/0.0.0.0/tcp/1",
                                       "/ip4/8.8.8.8/tcp/0",
                                       "/ip6/::1/tcp/1",
                                       "/ip6/fd00::1/tcp/1",
                                       "/ip6/2001:db8::1/tcp/1",
                                       "/ip4/224.0.0.1/tcp/1",
                                       "/dns4/example.org/tcp/1",
                                       "/ip6/::ffff:10.0.0.1/tcp/1"})
            addresses.push_back(Multiaddr::parse(text).value());
        return addresses;
    };
    const auto told_by = [&](const char* text) {
        return believable(all(), Multiaddr::parse(text).value()).size();
    };
    CHECK(told_by("/ip4/127.0.0.1/tcp/9") == 8);
    CHECK(told_by("/ip4/10.1.1.1/tcp/9") == 6);
    CHECK(told_by("/ip4/9.9.9.9/tcp/9") == 3);
}

}  // namespace
}  // namespace kwaai::p2p::kad
