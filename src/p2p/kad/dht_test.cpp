#include "p2p/kad/dht.hpp"

#include <algorithm>
#include <map>
#include <numeric>

#include <doctest/doctest.h>

#include "p2p/kad/dht_world_test.hpp"

namespace kwaai::p2p::kad {
namespace {

using namespace std::chrono_literals;

std::vector<std::size_t> indices(std::size_t begin, std::size_t end) {
    std::vector<std::size_t> all(end - begin);
    std::iota(all.begin(), all.end(), begin);
    return all;
}

std::vector<PeerId> ids_of(const std::vector<PeerAddresses>& peers, std::size_t count) {
    std::vector<PeerId> ids;
    for (const PeerAddresses& peer : peers)
        if (ids.size() < count) ids.push_back(peer.peer);
    return ids;
}

codec::Buffer record_of(unsigned char number, std::uint64_t sequence, std::string_view value) {
    return seal_signed_record(
        make_key(number), "name", sequence, kUnixTime + 3600, as_bytes(value));
}

TEST_CASE("thirty nodes find the nearest peers, and a peer that they never met") {
    run_dhts(30, [](DhtWorld& world) -> io::Task<void> {
        co_await world.join();
        for (const std::size_t asker : {3U, 17U, 29U}) {
            const codec::Buffer key = provider_key("key of " + std::to_string(asker));
            const auto found = co_await world.dht(asker).find_closest(key);
            REQUIRE(found.has_value());
            CHECK(ids_of(*found, 3) == world.truly_closest(key, asker, indices(0, 30), 3));
            CHECK(found->size() == 20);
        }
        const PeerId wanted = world.hosts().host(29).id();
        const auto peer = co_await world.dht(1).find_peer(wanted);
        REQUIRE(peer.has_value());
        REQUIRE_FALSE(peer->addresses.empty());
        CHECK(peer->addresses.front() == world.hosts().address(29).without_peer());
    });
}

TEST_CASE("a value that was put is got elsewhere, and a newer one replaces it") {
    run_dhts(30, [](DhtWorld& world) -> io::Task<void> {
        co_await world.join();
        const codec::Buffer key = signed_record_key(world.hosts().host(4).id(), "name");
        codec::Buffer first = record_of(4, 1, "first");
        const auto taken = co_await world.dht(4).put(key, first);
        REQUIRE(taken.has_value());
        CHECK(*taken >= 15);
        const auto got = co_await world.dht(21).get(key);
        REQUIRE(got.has_value());
        CHECK(*got == first);
        const codec::Buffer second = record_of(4, 2, "second");
        const auto retaken = co_await world.dht(4).put(key, second);
        REQUIRE(retaken.has_value());
        const auto newer = co_await world.dht(22).get(key);
        REQUIRE(newer.has_value());
        CHECK(*newer == second);
        const codec::Buffer missing = signed_record_key(world.hosts().host(5).id(), "name");
        const auto nothing = co_await world.dht(22).get(missing);
        REQUIRE_FALSE(nothing.has_value());
        CHECK(nothing.error().code == Errc::not_found);
    });
}

TEST_CASE("two nodes write under one shared name, and all read the later record") {
    run_dhts(30, [](DhtWorld& world) -> io::Task<void> {
        co_await world.join();
        const codec::Buffer key = shared_record_key("mykey");
        const auto written = [](unsigned char by, std::uint64_t later_ms, std::string_view value) {
            return seal_shared_record(make_key(by),
                                      "mykey",
                                      kUnixTime * 1000 + later_ms,
                                      kUnixTime + 100,
                                      as_bytes(value));
        };
        codec::Buffer later = written(4, 2, "later");
        const auto taken = co_await world.dht(4).put(key, later);
        REQUIRE(taken.has_value());
        const codec::Buffer earlier = written(7, 1, "earlier");
        const auto retaken = co_await world.dht(7).put(key, earlier);
        static_cast<void>(retaken);  // whoever has the later one keeps it
        for (const std::size_t reader : {0, 13, 29}) {
            const auto got = co_await world.dht(reader).get(key);
            REQUIRE(got.has_value());
            CHECK(*got == later);
        }
    });
}

TEST_CASE("providers are found, with their addresses, until they are too old") {
    run_dhts(20, [](DhtWorld& world) -> io::Task<void> {
        co_await world.join();
        const codec::Buffer key = provider_key("inference:llama2");
        for (const std::size_t index : {2U, 7U}) {
            const auto told = co_await world.dht(index).provide(key);
            REQUIRE(told.has_value());
            CHECK(*told >= 10);
        }
        const auto found = co_await world.dht(15).find_providers(key, 10);
        REQUIRE(found.has_value());
        REQUIRE(found->size() == 2);
        for (const PeerAddresses& provider : *found)
            CHECK_FALSE(provider.addresses.empty());
        const auto one = co_await world.dht(16).find_providers(key, 1);
        REQUIRE(one.has_value());
        CHECK(one->size() == 1);
        const auto nobody = co_await world.dht(15).find_providers(provider_key("other"), 10);
        REQUIRE(nobody.has_value());
        CHECK(nobody->empty());
    });
}

TEST_CASE("lookups go on when a third of the nodes leaves without a word") {
    run_dhts(30, [](DhtWorld& world) -> io::Task<void> {
        co_await world.join();
        const codec::Buffer key = provider_key("a key");
        const codec::Buffer value_key = signed_record_key(world.hosts().host(3).id(), "name");
        const codec::Buffer value = record_of(3, 1, "value");
        const auto taken = co_await world.dht(3).put(value_key, value);
        REQUIRE(taken.has_value());
        for (std::size_t i = 20; i < 30; ++i)
            world.hosts().network().freeze(HostWorld::ip(i));
        for (const std::size_t asker : {1U, 11U, 19U}) {
            const io::TimePoint begin = world.hosts().clock().now();
            const auto found = co_await world.dht(asker).find_closest(key);
            REQUIRE(found.has_value());
            const auto expected = world.truly_closest(key, asker, indices(0, 20), 3);
            std::vector<PeerId> living = ids_of(*found, found->size());
            std::erase_if(living, [&](const PeerId& peer) {
                return std::ranges::find(expected, peer) == expected.end();
            });
            CHECK(living == expected);
            CHECK(world.hosts().clock().now() - begin < 15s);
            const auto got = co_await world.dht(asker).get(value_key);
            REQUIRE(got.has_value());
            CHECK(*got == value);
        }
        for (std::size_t i = 20; i < 30; ++i)
            world.hosts().network().thaw(HostWorld::ip(i));
    });
}

TEST_CASE("a client asks and is in nobody's table") {
    const auto options = [](std::size_t index) {
        DhtOptions chosen = make_dht_options();
        if (index == 4) chosen.mode = Mode::client;
        return chosen;
    };
    run_dhts(5, options, [](DhtWorld& world) -> io::Task<void> {
        co_await world.join();
        const auto found = co_await world.dht(4).find_closest(provider_key("a key"));
        REQUIRE(found.has_value());
        CHECK(found->size() == 4);
        const PeerId client = world.hosts().host(4).id();
        for (std::size_t i = 0; i < 4; ++i) {
            const std::vector<PeerId> peers = world.dht(i).peers();
            CHECK(std::ranges::find(peers, client) == peers.end());
            CHECK(peers.size() == 3);
        }
        // Whoever wants to dial it is told by those who know it.
        const auto peer = co_await world.dht(1).find_peer(client);
        CHECK(peer.has_value());
    });
}

TEST_CASE("under the public name only peers that show a protocol of Hivemind enter the table") {
    const auto options = [](std::size_t) {
        DhtOptions chosen = make_dht_options();
        chosen.protocol = kPublicKadProtocol;
        return chosen;
    };
    run_dhts(3, options, [](DhtWorld& world) -> io::Task<void> {
        const std::vector<Multiaddr> stranger{world.hosts().address(1)};
        const auto refused = co_await world.dht(0).bootstrap(stranger);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == Errc::unavailable);
        world.hosts().host(2).handle(
            "DHTProtocol.rpc_ping",
            [](std::unique_ptr<Stream> /*stream*/) -> io::Task<void> { co_return; });
        const std::vector<Multiaddr> member{world.hosts().address(2)};
        const auto admitted = co_await world.dht(0).bootstrap(member);
        REQUIRE(admitted.has_value());
        CHECK(world.dht(0).peers() == std::vector<PeerId>{world.hosts().host(2).id()});
    });
}

TEST_CASE("under the public name strangers' connections are closed before others") {
    Limits limits;
    limits.connections_low = 2;
    limits.connections_high = 4;
    const auto options = [](std::size_t) {
        DhtOptions chosen = make_dht_options();
        chosen.protocol = kPublicKadProtocol;
        return chosen;
    };
    run_dhts(8, limits, options, [](DhtWorld& world) -> io::Task<void> {
        HostWorld& hosts = world.hosts();
        hosts.host(1).handle(
            "DHTProtocol.rpc_ping",
            [](std::unique_ptr<Stream> /*stream*/) -> io::Task<void> { co_return; });
        for (std::size_t i = 1; i < world.size(); ++i) {
            const auto connected = co_await hosts.host(0).connect(hosts.address(i));
            CHECK(connected.has_value());
            co_await hosts.clock().sleep_for(1s);
        }
        CHECK(hosts.host(0).is_connected(hosts.host(1).id()));  // unused for longest
        CHECK_FALSE(hosts.host(0).is_connected(hosts.host(2).id()));
    });
}

TEST_CASE("without a peer, or with keys and values that nobody takes, the error says so") {
    run_dhts(1, [](DhtWorld& world) -> io::Task<void> {
        Dht& dht = world.dht(0);
        const auto alone = co_await dht.find_closest(provider_key("a key"));
        REQUIRE_FALSE(alone.has_value());
        CHECK(alone.error().code == Errc::unavailable);
        const codec::Buffer value = codec::to_buffer(as_bytes("value"));
        for (const std::string_view text : {"no namespace", "/unknown/key", "//key", "/kwaai"}) {
            const codec::Buffer key = codec::to_buffer(as_bytes(text));
            const auto refused = co_await dht.put(key, value);
            REQUIRE_FALSE(refused.has_value());
            CHECK(refused.error().code == Errc::unsupported);
        }
        const codec::Buffer long_key(300);
        const auto too_long = co_await dht.provide(long_key);
        REQUIRE_FALSE(too_long.has_value());
        CHECK(too_long.error().code == Errc::limit_exceeded);
        std::vector<Multiaddr> nowhere{world.hosts().address(0)};
        const auto lonely = co_await dht.bootstrap(std::move(nowhere));
        CHECK_FALSE(lonely.has_value());
    });
}

TEST_CASE("peers that have no place for each other leave each other alone") {
    const auto options = [](std::size_t) {
        DhtOptions chosen = make_dht_options();
        chosen.limits.bucket_size = 1;
        return chosen;
    };
    run_dhts(12, options, [](DhtWorld& world) -> io::Task<void> {
        co_await world.join();
        co_await world.hosts().clock().sleep_for(1min);
        const std::uint64_t before = world.hosts().network().delivery_count();
        co_await world.hosts().clock().sleep_for(1min);
        // Keep-alives of at most 66 connections, at both ends.
        CHECK(world.hosts().network().delivery_count() - before < 66 * 2 * 2 * 10);
    });
}

TEST_CASE("values and providers are published again after a while") {
    const auto options = [](std::size_t) {
        DhtOptions chosen = make_dht_options();
        chosen.limits.provider_lifetime = 20min;
        chosen.limits.republish_interval = 9min;
        return chosen;
    };
    run_dhts(4, options, [](DhtWorld& world) -> io::Task<void> {
        co_await world.join();
        const codec::Buffer key = provider_key("inference:llama2");
        const auto told = co_await world.dht(2).provide(key);
        REQUIRE(told.has_value());
        co_await world.hosts().clock().sleep_for(25min);
        const auto found = co_await world.dht(3).find_providers(key, 10);
        REQUIRE(found.has_value());
        CHECK(found->size() == 1);
        world.dht(2).stop_providing(key);
        co_await world.hosts().clock().sleep_for(25min);
        const auto gone = co_await world.dht(3).find_providers(key, 10);
        REQUIRE(gone.has_value());
        CHECK(gone->empty());
    });
}

}  // namespace
}  // namespace kwaai::p2p::kad
