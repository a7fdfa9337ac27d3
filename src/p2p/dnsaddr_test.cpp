#include "p2p/dnsaddr.hpp"

#include <algorithm>
#include <map>

#include <doctest/doctest.h>

#include "p2p/host_world_test.hpp"
#include "p2p/kad/dht.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;
using Records = std::vector<std::string>;
using TextRecords = std::map<std::string, Records>;

Multiaddr multiaddr(const std::string& text) {
    return Multiaddr::parse(text).value();
}

/// "/p2p/ID" of a peer.
std::string ending(unsigned char number) {
    return "/p2p/" + make_identity(number).to_text();
}

std::string record(const std::string& address) {
    return "dnsaddr=" + address;
}

struct Answer {
    std::vector<Multiaddr> found;
    Records names;  // that were asked for, in their order
};

Answer resolve(const std::string& address,
               const TextRecords& texts,
               const Limits& limits = Limits()) {
    DnsaddrState state(multiaddr(address), limits);
    Answer answer;
    while (const auto name = state.name()) {
        answer.names.push_back(*name);
        const auto place = texts.find(*name);
        state.answered(place == texts.end() ? Records() : place->second);
    }
    answer.found = state.found();
    return answer;
}

TEST_CASE("the addresses of a dnsaddr are those of its TXT records that end as it does") {
    const std::string one = "/ip4/192.0.2.1/tcp/4001" + ending(1);
    const std::string other = "/ip4/192.0.2.2/udp/4001/quic-v1" + ending(2);
    const std::string relayed = one + "/p2p-circuit" + ending(2);
    const TextRecords texts{{"_dnsaddr.example", {record(one), record(other), record(relayed)}}};
    const Answer all = resolve("/dnsaddr/example", texts);
    CHECK(all.found == std::vector{multiaddr(one), multiaddr(other), multiaddr(relayed)});
    CHECK(all.names == Records{"_dnsaddr.example"});
    CHECK(resolve("/dnsaddr/example" + ending(1), texts).found == std::vector{multiaddr(one)});
    CHECK(resolve("/dnsaddr/example" + ending(2), texts).found ==
          std::vector{multiaddr(other), multiaddr(relayed)});
    CHECK(resolve("/dnsaddr/example/p2p-circuit" + ending(2), texts).found ==
          std::vector{multiaddr(relayed)});
    CHECK(resolve("/dnsaddr/example" + ending(3), texts).found.empty());
    CHECK(resolve("/dnsaddr/nobody", texts).found.empty());
}

TEST_CASE("records that are no dnsaddr, no address, or none that is spoken here are skipped") {
    const std::string good = "/ip4/192.0.2.1/tcp/4001" + ending(1);
    const std::string other_peer = "/ip4/192.0.2.1/tcp/4001" + ending(2);
    const TextRecords texts{{"_dnsaddr.example",
                             {"",
                              "v=spf1 -all",
                              "dnsaddr=",
                              good,
                              "DNSADDR=" + good,
                              record("ip4/192.0.2.1"),
                              record("/ip4/192.0.2.1/tcp/4001/p2p/nobody"),
                              record("/ip4/192.0.2.1/tcp/4001"),
                              record("/ip4/192.0.2.1/udp/4001/quic-v1/webtransport" + ending(1)),
                              record(ending(1)),
                              record(other_peer),
                              record(good),
                              record(good)}}};
    CHECK(resolve("/dnsaddr/example" + ending(1), texts).found == std::vector{multiaddr(good)});
}

TEST_CASE("an address ends as another one by its parts, not by its bytes") {
    // The bytes of port 56579 are those of /ws.
    const std::string other = "/ip4/192.0.2.1/tcp/56579";
    const TextRecords texts{{"_dnsaddr.example", {record(other), record(other + "/ws")}}};
    CHECK(resolve("/dnsaddr/example", texts).found.size() == 2);
    CHECK(resolve("/dnsaddr/example/ws", texts).found == std::vector{multiaddr(other + "/ws")});
}

TEST_CASE("a name that leads to others is followed so many times") {
    const std::string place = "/ip4/192.0.2.1/tcp/4001" + ending(1);
    const TextRecords texts{
        {"_dnsaddr.a", {record("/dnsaddr/b" + ending(1)), record("/dnsaddr/other" + ending(2))}},
        {"_dnsaddr.b", {record("/dnsaddr/c" + ending(1)), record("/dnsaddr/c")}},
        {"_dnsaddr.c", {record("/dnsaddr/d" + ending(1))}},
        {"_dnsaddr.d", {record(place), record("/dnsaddr/e" + ending(1))}},
        {"_dnsaddr.e", {record("/ip4/192.0.2.2/tcp/4001" + ending(1))}}};
    const Answer answer = resolve("/dnsaddr/a" + ending(1), texts);
    CHECK(answer.names == Records{"_dnsaddr.a", "_dnsaddr.b", "_dnsaddr.c", "_dnsaddr.d"});
    CHECK(answer.found == std::vector{multiaddr(place)});
    Limits limits;
    limits.dnsaddr_levels_max = 3;
    CHECK(resolve("/dnsaddr/a" + ending(1), texts, limits).found.empty());
}

TEST_CASE("names that lead to each other are asked for once") {
    const std::string place = "/ip4/192.0.2.1/tcp/4001" + ending(1);
    const TextRecords texts{
        {"_dnsaddr.a", {record("/dnsaddr/a" + ending(1)), record("/dnsaddr/b" + ending(1))}},
        {"_dnsaddr.b",
         {record("/dnsaddr/a" + ending(1)), record("/dnsaddr/b" + ending(1)), record(place)}}};
    const Answer answer = resolve("/dnsaddr/a" + ending(1), texts);
    CHECK(answer.names == Records{"_dnsaddr.a", "_dnsaddr.b"});
    CHECK(answer.found == std::vector{multiaddr(place)});
}

TEST_CASE("only so many addresses are taken, however they are spread over names") {
    Limits limits;
    limits.dnsaddr_addresses_max = 5;
    TextRecords texts;
    for (int i = 1; i <= 20; ++i)
        texts["_dnsaddr.wide"].push_back(record("/ip4/192.0.2." + std::to_string(i) + "/tcp/1"));
    CHECK(resolve("/dnsaddr/wide", texts, limits).found.size() == 5);

    for (int i = 1; i <= 3; ++i) {
        const std::string name = "branch-" + std::to_string(i);
        texts["_dnsaddr.tree"].push_back(record("/dnsaddr/" + name));
        for (int leaf = 1; leaf <= 20; ++leaf)
            texts["_dnsaddr." + name].push_back(
                record("/ip4/192.0.2." + std::to_string(20 * i + leaf) + "/tcp/1"));
    }
    const Answer tree = resolve("/dnsaddr/tree", texts, limits);
    CHECK(tree.found.size() == 2);
    CHECK(tree.names.size() == 4);

    // Every name leads to twenty others, those to others again.
    texts.clear();
    std::size_t next = 0;
    DnsaddrState endless(multiaddr("/dnsaddr/first"), Limits());
    std::size_t asked = 0;
    for (; endless.name(); ++asked) {
        Records records;
        for (int i = 0; i < 20; ++i)
            records.push_back(record("/dnsaddr/name-" + std::to_string(next++)));
        endless.answered(records);
    }
    CHECK(asked == 1 + Limits().dnsaddr_addresses_max);
    CHECK(endless.found().empty());
}

TEST_CASE("a peer is reached by a name, whose answers are remembered and not the name itself") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        world.network().set_text("_dnsaddr.two.example",
                                 {record("/dnsaddr/one.example" + ending(1))});
        world.network().set_text(
            "_dnsaddr.one.example",
            {record("/ip4/10.0.0.2/tcp/4001" + ending(0)), record(world.address(1).to_text())});
        const Multiaddr named = multiaddr("/dnsaddr/two.example" + ending(1));
        const auto peer = co_await world.host(0).connect(named);
        REQUIRE(peer.has_value());
        CHECK(*peer == world.host(1).id());
        CHECK(world.host(0).known_addresses(*peer) ==
              std::vector{multiaddr("/ip4/10.0.0.2/tcp/4001")});
    });
}

TEST_CASE("a name without an id leads to the first of its peers that answers, but not to oneself") {
    run_hosts(3, [](HostWorld& world) -> io::Task<void> {
        world.network().set_text("_dnsaddr.all.example",
                                 {record(world.address(0).to_text()),
                                  record("/ip4/10.0.0.9/tcp/4001"),
                                  record("/ip4/10.0.0.3/tcp/4444" + ending(1)),
                                  record(world.address(2).to_text())});
        const Multiaddr named = multiaddr("/dnsaddr/all.example");
        const auto peer = co_await world.host(0).connect(named);
        REQUIRE(peer.has_value());
        CHECK(*peer == world.host(2).id());
        CHECK_FALSE(world.host(0).is_connected(world.host(1).id()));
    });
}

/// Why a connection to `address` failed; "" where it did not.
io::Task<std::string> why_not(Host& host, std::string address) {
    const auto peer = co_await host.connect(multiaddr(address));
    co_return peer ? std::string() : peer.error().context;
}

TEST_CASE("a name that leads nowhere says why") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        world.network().set_text("_dnsaddr.self.example", {record(world.address(0).to_text())});
        world.network().set_text("_dnsaddr.other.example", {record(world.address(1).to_text())});
        world.network().set_text(
            "_dnsaddr.down.example",
            {record("/ip4/10.0.0.2/tcp/1" + ending(1)), record("/ip4/10.0.0.2/tcp/1" + ending(2))});
        Host& host = world.host(0);
        std::string why = co_await why_not(host, "/dnsaddr/nobody.example");
        CHECK(why.find("\"_dnsaddr.nobody.example\": it has none") != std::string::npos);
        why = co_await why_not(host, "/dnsaddr/self.example");
        CHECK(why.find("name no other peer") != std::string::npos);
        const std::string itself = "/dnsaddr/self.example" + ending(0);
        why = co_await why_not(host, itself);
        CHECK(why.find("is this node itself") != std::string::npos);
        const std::string wrong = "/dnsaddr/other.example" + ending(3);
        why = co_await why_not(host, wrong);
        CHECK(why.find("name no address that can be dialled") != std::string::npos);
        why = co_await why_not(host, "/dnsaddr/down.example");
        CHECK(why.find("none of its 2 peers was reached") != std::string::npos);
        CHECK(host.peers().empty());
    });
}

TEST_CASE("a peer that lives elsewhere than a name says is not taken for the one that is named") {
    run_hosts(3, [](HostWorld& world) -> io::Task<void> {
        world.network().set_text("_dnsaddr.liar.example",
                                 {record("/ip4/10.0.0.2/tcp/4001" + ending(2))});
        const std::string liar = "/dnsaddr/liar.example" + ending(2);
        const std::string why = co_await why_not(world.host(0), liar);
        CHECK(why.find(world.host(1).id().to_text()) != std::string::npos);
        CHECK_FALSE(world.host(0).is_connected(world.host(2).id()));
    });
}

TEST_CASE("a dnsaddr that peers tell of is not kept") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        const Multiaddr told = multiaddr("/dnsaddr/one.example");
        const auto choose = [told](std::vector<Multiaddr> listening) {
            listening.push_back(told);
            return listening;
        };
        world.host(1).set_told_addresses(choose);
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        const auto info = co_await world.host(0).identify(*peer);
        REQUIRE(info.has_value());
        CHECK(std::ranges::find(info->addresses, told) != info->addresses.end());
        const std::vector known{multiaddr("/ip4/10.0.0.2/tcp/4001")};
        CHECK(world.host(0).known_addresses(*peer) == known);
        world.host(0).add_address(*peer, multiaddr("/dnsaddr/one.example" + ending(1)));
        CHECK(world.host(0).known_addresses(*peer) == known);
    });
}

TEST_CASE("a hash table is joined by a name") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        world.network().set_text("_dnsaddr.swarm.example", {record(world.address(1).to_text())});
        kad::DhtOptions serving;
        serving.mode = kad::Mode::server;
        kad::Dht ours(world.host(0), world.clock(), serving);
        const kad::Dht theirs(world.host(1), world.clock(), serving);
        const std::vector named{multiaddr("/dnsaddr/swarm.example")};
        const auto joined = co_await ours.bootstrap(named);
        REQUIRE(joined.has_value());
        CHECK(*joined == 1);
    });
}

TEST_CASE("look-ups that take too long end, and what was found until then counts") {
    testing::Simulation simulation;
    testing::SimNetworkOptions slow;
    slow.link.latency = 2s;  // of a name server, too
    testing::SimNetwork network(simulation.clock(), slow);
    const std::string place = "/ip4/192.0.2.1/tcp/4001" + ending(1);
    network.set_text("_dnsaddr.a", {record("/dnsaddr/b"), record("/dnsaddr/c"), record(place)});
    network.set_text("_dnsaddr.b", {record("/dnsaddr/d"), record("/ip4/192.0.2.2/tcp/1")});
    network.set_text("_dnsaddr.c", {record("/ip4/192.0.2.3/tcp/1")});
    io::Network& host = network.host("10.0.0.1");
    const Limits limits;
    const io::TimePoint begin = simulation.clock().now();
    const auto found =
        simulation.run(resolve_dnsaddr(host, simulation.clock(), multiaddr("/dnsaddr/a"), limits));
    CHECK(simulation.clock().now() - begin == limits.dial_timeout);
    REQUIRE(found.has_value());
    CHECK(*found == std::vector{multiaddr(place), multiaddr("/ip4/192.0.2.2/tcp/1")});

    Limits hasty;
    hasty.dial_timeout = 1s;
    const auto none =
        simulation.run(resolve_dnsaddr(host, simulation.clock(), multiaddr("/dnsaddr/a"), hasty));
    REQUIRE_FALSE(none.has_value());
    CHECK(none.error().code == Errc::timed_out);
}

}  // namespace
}  // namespace kwaai::p2p
