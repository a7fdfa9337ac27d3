// Bounds as a whole host keeps them: who may come, what is dialled when, and what is given up.
#include <algorithm>
#include <array>

#include <doctest/doctest.h>

#include "p2p/bounds/public_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

constexpr const char* kHold = PublicWorld::kHold;

Multiaddr nowhere(int number) {
    return PublicWorld::nowhere(number);
}

using World = PublicWorld;

TEST_CASE("the first address never answers: connected through the second after 250 ms") {
    World world(2, Limits());
    world.run([](World& at) -> io::Task<void> {
        const PeerId peer = at.hosts[1]->id();
        at.hosts[0]->add_address(peer, at.address(1));
        at.hosts[0]->add_address(peer, nowhere(1));  // the newest is tried first
        const io::TimePoint begin = at.clock().now();
        const auto connected = co_await at.hosts[0]->connect(at.address(1));
        REQUIRE(connected.has_value());
        const io::Duration took = at.clock().now() - begin;
        CHECK(took >= 250ms);
        CHECK(took < 300ms);
        co_await at.clock().sleep_for(20s);
        CHECK(at.hosts[0]->resources().connections() == 1);  // the other dial was called off
        CHECK(at.hosts[0]->resources().descriptors == 1);
    });
}

TEST_CASE("an address that fails at once makes place for the next one at once") {
    World world(2, Limits());
    world.run([](World& at) -> io::Task<void> {
        const PeerId peer = at.hosts[1]->id();
        const Multiaddr closed = Multiaddr::parse("/ip4/" + World::ip(1) + "/tcp/9").value();
        at.hosts[0]->add_address(peer, at.address(1));
        at.hosts[0]->add_address(peer, closed);
        const io::TimePoint begin = at.clock().now();
        const auto connected = co_await at.hosts[0]->connect(at.address(1));
        REQUIRE(connected.has_value());
        CHECK(at.clock().now() - begin < 50ms);
    });
}

TEST_CASE("of two addresses that work, one connection is left") {
    World world(2, Limits());
    world.run([](World& at) -> io::Task<void> {
        const PeerId peer = at.hosts[1]->id();
        at.network.set_link(World::ip(0), World::ip(1), {.latency = 200ms});
        const auto more =
            at.hosts[1]->listen(Multiaddr::parse("/ip4/" + World::ip(1) + "/tcp/4002").value());
        REQUIRE(more.has_value());
        for (const Multiaddr& one : at.hosts[1]->addresses())
            at.hosts[0]->add_address(peer, one);
        const auto connected = co_await at.hosts[0]->connect(at.address(1));
        REQUIRE(connected.has_value());
        co_await at.clock().sleep_for(30s);
        CHECK(at.hosts[0]->resources().connections() == 1);
        CHECK(at.hosts[1]->resources().connections() == 1);
    });
}

io::Task<void> connect_to(Host& host, Multiaddr address, std::size_t& ended) {
    const auto connected = co_await host.connect(std::move(address));
    static_cast<void>(connected);
    ++ended;
}

io::Task<void> connect_to_all(io::TaskGroup& group, World& at, std::size_t& ended) {
    for (int i = 1; i <= 6; ++i) {
        const Multiaddr address =
            nowhere(i).with_peer(make_identity(static_cast<unsigned char>(100 + i)));
        group.spawn(connect_to, std::ref(*at.hosts[0]), address, std::ref(ended));
    }
    co_await at.clock().sleep_for(1s);
    CHECK(at.hosts[0]->resources().connections_outbound == 2);
    CHECK(ended == 0);
    co_await at.clock().sleep_for(5s);
    CHECK(at.hosts[0]->resources().connections_outbound == 2);
    CHECK(ended == 2);
}

TEST_CASE("only so many addresses are dialled at a time; the others wait") {
    Limits limits;
    limits.dials_max = 2;
    World world(1, limits);
    world.run([](World& at) -> io::Task<void> {
        std::size_t ended = 0;
        co_await io::with_group(connect_to_all, std::ref(at), std::ref(ended));
        CHECK(ended == 6);
        CHECK(at.hosts[0]->resources().connections() == 0);
    });
}

TEST_CASE("IPv6 that leads nowhere is not dialled any more") {
    Limits limits;
    limits.black_hole_window = 5;
    limits.black_hole_successes_min = 1;
    World world(1, limits);
    world.run([](World& at) -> io::Task<void> {
        for (unsigned char i = 0; i < 5; ++i) {
            const Multiaddr address = Multiaddr::parse("/ip6/2001:db8::1/tcp/4001")
                                          .value()
                                          .with_peer(make_identity(i + 10));
            const auto connected = co_await at.hosts[0]->connect(address);
            REQUIRE_FALSE(connected.has_value());
            CHECK(connected.error().code == Errc::timed_out);
        }
        const Multiaddr address =
            Multiaddr::parse("/ip6/2001:db8::2/tcp/4001").value().with_peer(make_identity(20));
        const io::TimePoint begin = at.clock().now();
        const auto connected = co_await at.hosts[0]->connect(address);
        REQUIRE_FALSE(connected.has_value());
        CHECK(connected.error().code == Errc::unavailable);
        CHECK(at.clock().now() == begin);
    });
}

TEST_CASE("a blocked peer is neither dialled nor kept, and a blocked network is not let in") {
    const auto list = std::make_shared<BlockList>();
    list->block(make_identity(1));
    list->block(Subnet::parse(World::ip(2)).value());
    World world(4, Limits(), list);
    world.run([](World& at) -> io::Task<void> {
        const auto dialled = co_await at.hosts[0]->connect(at.address(1));
        REQUIRE_FALSE(dialled.has_value());
        CHECK(dialled.error().code == Errc::unavailable);
        const auto at_network = co_await at.hosts[0]->connect(at.address(2));
        CHECK_FALSE(at_network.has_value());
        const auto came = co_await at.hosts[1]->connect(at.address(0));
        co_await at.clock().sleep_for(1s);
        CHECK_FALSE(at.hosts[1]->is_connected(at.hosts[0]->id()));
        static_cast<void>(came);  // it may have seen the end of the handshake
        const auto from_network = co_await at.hosts[2]->connect(at.address(0));
        CHECK_FALSE(from_network.has_value());
        const auto allowed = co_await at.hosts[3]->connect(at.address(0));
        CHECK(allowed.has_value());
        CHECK(at.hosts[0]->resources().connections() == 1);
    });
}

TEST_CASE("an address that connects again and again is slowed down, and others are served") {
    World world(3, Limits());
    world.run([](World& at) -> io::Task<void> {
        std::size_t served = 0;
        for (int i = 0; i < 30; ++i) {
            const auto again = co_await at.hosts[1]->connect_again(at.address(0));
            if (again) ++served;
            at.hosts[1]->disconnect(at.hosts[0]->id());
            co_await at.clock().sleep_for(10ms);
        }
        CHECK(served <= Limits().accept_burst + 1);
        const auto other = co_await at.hosts[2]->connect(at.address(0));
        CHECK(other.has_value());
        co_await at.clock().sleep_for(Limits().accept_period);
        const auto later = co_await at.hosts[1]->connect_again(at.address(0));
        CHECK(later.has_value());
    });
}

TEST_CASE("of many connections the unused ones are closed; a stream or a tag keeps one") {
    Limits limits;
    limits.connections_low = 10;
    limits.connections_high = 15;
    World world(40, limits);
    world.run([](World& at) -> io::Task<void> {
        Host& host = *at.hosts[0];
        const auto first = co_await host.connect(at.address(1));
        REQUIRE(first.has_value());
        const auto session = co_await host.open(*first, kHold);
        REQUIRE(session.has_value());
        const auto second = co_await host.connect(at.address(2));
        REQUIRE(second.has_value());
        host.protect(*second, "kad");
        const auto third = co_await host.connect(at.address(3));
        REQUIRE(third.has_value());
        for (std::size_t i = 4; i < 40; ++i) {
            const auto one = co_await host.connect(at.address(i));
            REQUIRE(one.has_value());
            co_await at.clock().sleep_for(5s);
            CHECK(host.resources().connections() <= 16);
        }
        CHECK(host.is_connected(*first));
        CHECK(host.is_connected(*second));
        CHECK_FALSE(host.is_connected(*third));
        host.unprotect(*second, "kad");
        (*session)->close();
    });
}

/// Opens streams and writes a window's worth to each; nobody reads it.
io::Task<void> flood(Host& host, PeerId victim, std::size_t& opened) {
    std::vector<std::unique_ptr<Stream>> streams;
    const std::vector<std::byte> bytes(200 << 10);
    while (streams.size() < 100) {
        auto stream = co_await host.open(victim, kHold);
        if (!stream) co_return;
        ++opened;
        const Bytes view(bytes);
        const Result<> written = co_await (*stream)->write(view);
        if (!written) continue;
        streams.push_back(std::move(*stream));
    }
}

io::Task<void> flood_for_a_while(io::TaskGroup& group, World& at, std::size_t& opened) {
    for (std::size_t i = 1; i < 4; ++i)
        group.spawn(flood, std::ref(*at.hosts[i]), at.hosts[0]->id(), std::ref(opened));
    co_await at.clock().sleep_for(20s);
    CHECK(at.hosts[0]->resources().memory_bytes <= 8 << 20);
    CHECK(at.hosts[0]->resources().memory_bytes > 2 << 20);
    const auto time = co_await at.hosts[4]->ping(at.hosts[0]->id());
    CHECK(time.has_value());
    group.cancel();
}

TEST_CASE(
    "peers that fill streams which nobody reads stay within the memory; others are served "
    "(CVE-2022-23492, CVE-2022-23486, CVE-2022-23487)") {
    Limits limits;
    limits.memory_max = 8 << 20;
    World world(5, limits);
    world.run([](World& at) -> io::Task<void> {
        for (std::size_t i = 1; i < 5; ++i) {
            const auto connected = co_await at.hosts[i]->connect(at.address(0));
            REQUIRE(connected.has_value());
        }
        std::size_t opened = 0;
        co_await io::with_group(flood_for_a_while, std::ref(at), std::ref(opened));
        CHECK(opened > 60);
    });
}

io::Task<void> ask_echo(Host& host, PeerId peer, std::size_t& served) {
    auto stream = co_await host.open(std::move(peer), "/echo/1.0.0");
    if (!stream) co_return;
    std::array<std::byte, 1> byte{};
    const Bytes sent(byte);
    const Result<> written = co_await (*stream)->write(sent);
    if (!written) co_return;
    const MutableBytes into(byte);
    const auto count = co_await (*stream)->read_some(into);
    if (count && *count == 1) ++served;
}

io::Task<void> ask_often(io::TaskGroup& group, World& at, std::size_t& served) {
    for (int i = 0; i < 600; ++i)
        group.spawn(ask_echo, std::ref(*at.hosts[1]), at.hosts[0]->id(), std::ref(served));
    co_return;
}

TEST_CASE("who opens hundreds of streams at once, and speaks on them, is served on all") {
    World world(2, Limits());
    world.run([](World& at) -> io::Task<void> {
        at.hosts[0]->handle("/echo/1.0.0", echo);
        const auto connected = co_await at.hosts[1]->connect(at.address(0));
        REQUIRE(connected);
        std::size_t served = 0;
        co_await io::with_group(ask_often, std::ref(at), std::ref(served));
        CHECK(served == 600);
    });
}

}  // namespace
}  // namespace kwaai::p2p
