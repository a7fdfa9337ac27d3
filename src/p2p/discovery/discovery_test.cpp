// Nodes that offer and nodes that look for it, on a simulated network.
#include "p2p/discovery/discovery.hpp"

#include <algorithm>

#include <doctest/doctest.h>

#include "codec/varint.hpp"
#include "p2p/host_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

constexpr unsigned char kNodes = 8;
constexpr std::uint64_t kToday = 1'790'000'000;

Capability capability_of(std::string name, double rows_per_second) {
    return {.sequence = 0,
            .expires = 0,
            .addresses = {},
            .names = {std::move(name)},
            .models = {},
            .memory_bytes = 0,
            .rows_per_second = rows_per_second};
}

// A node of the DHT on each host; all know the first one.
struct Nodes {
    explicit Nodes(HostWorld& some_world) : world(some_world) {
        for (std::size_t i = 0; i < world.size(); ++i) {
            kad::DhtOptions options;
            options.mode = kad::Mode::server;
            options.seed = i;
            dhts.push_back(
                std::make_unique<kad::Dht>(world.host(i), world.clock(), std::move(options)));
            discoveries.push_back(std::make_unique<Discovery>(
                world.host(i), world.clock(), *dhts[i], DiscoveryOptions{.unix_seconds = [this] {
                    return now;
                }}));
        }
    }

    HostWorld& world;
    std::uint64_t now = kToday;
    std::vector<std::unique_ptr<kad::Dht>> dhts;
    std::vector<std::unique_ptr<Discovery>> discoveries;
};

template <class Fn>
io::Task<void> run_nodes(io::TaskGroup& group, Nodes& nodes, Fn fn) {
    for (std::size_t i = 0; i < nodes.dhts.size(); ++i) {
        group.spawn(&kad::Dht::run, std::ref(*nodes.dhts[i]));
        group.spawn(&Discovery::run, std::ref(*nodes.discoveries[i]));
    }
    for (std::size_t i = 1; i < nodes.dhts.size(); ++i) {
        std::vector<Multiaddr> known{nodes.world.address(0)};
        const auto joined = co_await nodes.dhts[i]->bootstrap(std::move(known));
        if (!joined) FAIL(joined.error().context);
    }
    co_await nodes.world.clock().sleep_for(5s);
    co_await fn(nodes);
    group.cancel();
}

template <class Fn>
struct NodesBody {
    Fn fn;

    io::Task<void> operator()(HostWorld& world) const {
        Nodes nodes(world);
        co_await io::with_group(&run_nodes<Fn>, std::ref(nodes), fn);
    }
};

template <class Fn>
void with_nodes(Fn fn) {
    run_hosts(kNodes, NodesBody<Fn>{std::move(fn)});
}

bool holds(const std::vector<FoundPeer>& found, unsigned char number) {
    return std::ranges::any_of(
        found, [&](const FoundPeer& peer) { return peer.record.peer == make_identity(number); });
}

TEST_CASE("peers are found by what they offer, the fastest first") {
    with_nodes([](Nodes& nodes) -> io::Task<void> {
        REQUIRE(nodes.discoveries[2]->offer(capability_of("inference:a", 10)));
        REQUIRE(nodes.discoveries[3]->offer(capability_of("inference:a", 1000)));
        REQUIRE(nodes.discoveries[4]->offer(capability_of("inference:b", 1000)));
        co_await nodes.world.clock().sleep_for(5s);
        const auto found = co_await nodes.discoveries[7]->find("inference:a", 10);
        REQUIRE(found.size() == 2);
        CHECK(found[0].record.peer == make_identity(3));
        CHECK(found[1].record.peer == make_identity(2));
        CHECK(found[0].address.to_text() ==
              "/ip4/10.0.0.4/tcp/4001/p2p/" + make_identity(3).to_text());
        const Capability& capability = found[0].record.capability;
        REQUIRE(capability.addresses.size() == 1);
        CHECK(capability.addresses[0].to_text() == "/ip4/10.0.0.4/tcp/4001");
        CHECK(capability.sequence == kToday);
        CHECK(capability.expires == kToday + 3600);
        const auto best = co_await nodes.discoveries[7]->find("inference:a", 1);
        REQUIRE(best.size() == 1);
        CHECK(best[0].record.peer == make_identity(3));
        const auto none = co_await nodes.discoveries[7]->find("inference:c", 10);
        CHECK(none.empty());
    });
}

TEST_CASE("who left, or offers something else by now, is not found") {
    with_nodes([](Nodes& nodes) -> io::Task<void> {
        for (const std::size_t i : {1u, 2u, 3u})
            REQUIRE(nodes.discoveries[i]->offer(capability_of("inference:a", 0)));
        co_await nodes.world.clock().sleep_for(5s);
        nodes.world.network().crash(HostWorld::ip(1));
        REQUIRE(nodes.discoveries[2]->offer(capability_of("inference:b", 0)));
        const auto found = co_await nodes.discoveries[7]->find("inference:a", 10);
        CHECK(found.size() == 1);
        CHECK(holds(found, 3));
        co_await nodes.world.clock().sleep_for(5s);
        const auto other = co_await nodes.discoveries[7]->find("inference:b", 10);
        CHECK(holds(other, 2));
    });
}

TEST_CASE("a node that joins late provides as soon as somebody is there") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        Nodes nodes(world);
        REQUIRE(nodes.discoveries[0]->offer(capability_of("inference:a", 0)));
        const auto find_alone = [](Nodes& all) -> io::Task<void> {
            co_await all.world.clock().sleep_for(20s);
            const auto found = co_await all.discoveries[1]->find("inference:a", 10);
            CHECK(holds(found, 0));
        };
        co_await io::with_group(&run_nodes<decltype(find_alone)>, std::ref(nodes), find_alone);
    });
}

io::Task<void> send_framed(std::unique_ptr<Stream> stream, codec::Buffer record) {
    codec::Buffer framed;
    codec::append_varint(framed, record.size());
    codec::append(framed, record);
    const Bytes bytes(framed);
    const Result<> written = co_await stream->write(bytes);
    if (written) stream->close();
}

// Whoever asks gets these bytes.
void hand_out(Host& host, const codec::Buffer& record) {
    host.handle(kCapabilityProtocol, [record](std::unique_ptr<Stream> stream) {
        return send_framed(std::move(stream), record);
    });
}

TEST_CASE("records of others, old ones and rubbish do not make a peer found") {
    with_nodes([](Nodes& nodes) -> io::Task<void> {
        for (const std::size_t i : {1u, 2u, 3u, 4u})
            REQUIRE(nodes.discoveries[i]->offer(capability_of("inference:a", 0)));
        co_await nodes.world.clock().sleep_for(5s);
        Capability good = capability_of("inference:a", 0);
        good.expires = kToday + 10;
        hand_out(nodes.world.host(1), seal_capability(make_key(2), good).value());
        good.expires = kToday;
        hand_out(nodes.world.host(2), seal_capability(make_key(2), good).value());
        hand_out(nodes.world.host(3), codec::Buffer(kCapabilityRecordBytesMax + 1));
        const auto found = co_await nodes.discoveries[7]->find("inference:a", 10);
        CHECK(found.size() == 1);
        CHECK(holds(found, 4));
    });
}

}  // namespace
}  // namespace kwaai::p2p
