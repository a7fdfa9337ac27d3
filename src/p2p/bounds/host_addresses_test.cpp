// Addresses as a whole host takes, keeps and gives them up.
#include <algorithm>

#include <doctest/doctest.h>

#include "p2p/bounds/public_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

constexpr const char* kMember = "/member/1.0.0";

Multiaddr address_of(const std::string& text) {
    return Multiaddr::parse(text).value();
}

/// Where `host` listens, and near addresses that mean something else elsewhere.
void tell_near_addresses(Host& host) {
    host.set_told_addresses([](std::vector<Multiaddr> told) {
        for (const char* text : {"/ip4/10.1.2.3/tcp/22",
                                 "/ip4/192.168.1.1/tcp/80",
                                 "/ip6/fc00::1/tcp/80",
                                 "/ip4/127.0.0.1/tcp/80",
                                 "/ip4/0.0.0.0/tcp/80"})
            told.push_back(address_of(text));
        return told;
    });
}

TEST_CASE("a public peer is not believed that it is at private addresses") {
    PublicWorld world(2, Limits());
    world.run([](PublicWorld& at) -> io::Task<void> {
        const std::vector<Multiaddr> expected{at.address(1).without_peer()};
        tell_near_addresses(*at.hosts[1]);
        const auto peer = co_await at.hosts[0]->connect(at.address(1));
        REQUIRE(peer.has_value());
        const auto info = co_await at.hosts[0]->identify(*peer);
        REQUIRE(info.has_value());
        CHECK(info->addresses.size() == 6);
        CHECK(at.hosts[0]->known_addresses(*peer) == expected);
        tell_near_addresses(*at.hosts[1]);  // pushed
        co_await at.clock().sleep_for(1s);
        CHECK(at.hosts[0]->known_addresses(*peer) == expected);
    });
}

TEST_CASE("a peer in our private network is believed so, but not that it is at loopback") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        tell_near_addresses(world.host(1));
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        const auto info = co_await world.host(0).identify(*peer);
        REQUIRE(info.has_value());
        const std::vector<Multiaddr> expected{world.address(1).without_peer(),
                                              address_of("/ip4/10.1.2.3/tcp/22"),
                                              address_of("/ip4/192.168.1.1/tcp/80"),
                                              address_of("/ip6/fc00::1/tcp/80")};
        CHECK(world.host(0).known_addresses(*peer) == expected);
    });
}

TEST_CASE("addresses are kept while their peer is connected, and forgotten a while afterwards") {
    Limits limits;
    limits.address_lifetime = 10min;
    limits.address_connected_lifetime = 20min;
    PublicWorld world(2, limits);
    world.run([](PublicWorld& at) -> io::Task<void> {
        Host& host = *at.hosts[0];
        const PeerId heard = make_identity(9);
        host.add_address(heard, PublicWorld::nowhere(1));
        const auto peer = co_await host.connect(at.address(1));
        REQUIRE(peer.has_value());
        co_await at.clock().sleep_for(11min);
        CHECK(host.known_addresses(heard).empty());
        CHECK(host.is_connected(*peer));
        CHECK(host.known_addresses(*peer).size() == 1);
        host.disconnect(*peer);
        co_await at.clock().sleep_for(19min);
        CHECK(host.known_addresses(*peer).size() == 1);
        co_await at.clock().sleep_for(2min);
        CHECK(host.known_addresses(*peer).empty());
        const auto stream = co_await host.open(*peer, PublicWorld::kHold);
        REQUIRE_FALSE(stream.has_value());
        CHECK(stream.error().code == Errc::not_found);
    });
}

TEST_CASE(
    "a dial of all addresses of a peer takes so long and no longer, and they are left alone") {
    Limits limits;
    limits.dial_total_timeout = 2s;
    limits.dial_local_timeout = 1s;
    PublicWorld world(1, limits);
    world.run([](PublicWorld& at) -> io::Task<void> {
        Host& host = *at.hosts[0];
        const PeerId far = make_identity(8);
        const PeerId near = make_identity(9);
        for (const int number : {1, 2, 3})
            host.add_address(far, PublicWorld::nowhere(number));
        host.add_address(far, address_of("/ip4/192.168.9.8/tcp/1"));
        host.add_address(near, address_of("/ip4/192.168.9.9/tcp/1"));
        const std::vector<PeerId> peers{far, near};
        for (const PeerId& peer : peers) {
            const io::TimePoint begin = at.clock().now();
            const auto first = co_await host.open(peer, PublicWorld::kHold);
            REQUIRE_FALSE(first.has_value());
            CHECK(at.clock().now() - begin == (peer == far ? io::Duration(2s) : io::Duration(1s)));
            const auto again = co_await host.open(peer, PublicWorld::kHold);
            REQUIRE_FALSE(again.has_value());
            CHECK(again.error().context.contains("backing off"));
        }
        CHECK(host.resources().connections() == 0);
    });
}

TEST_CASE("the time in which a dial waits for its turn counts") {
    Limits limits;
    limits.dials_max = 0;  // nobody's turn comes
    PublicWorld world(1, limits);
    world.run([](PublicWorld& at) -> io::Task<void> {
        const Multiaddr address = PublicWorld::nowhere(1).with_peer(make_identity(9));
        const io::TimePoint begin = at.clock().now();
        const auto connected = co_await at.hosts[0]->connect(address);
        REQUIRE_FALSE(connected.has_value());
        CHECK(connected.error().code == Errc::limit_exceeded);
        CHECK(at.clock().now() - begin == Limits().dial_total_timeout);
    });
}

TEST_CASE("an address where another peer is found is forgotten, over TCP and QUIC") {
    PublicWorld world(2, Limits());
    world.run([](PublicWorld& at) -> io::Task<void> {
        Host& host = *at.hosts[0];
        const Multiaddr quic = address_of("/ip4/" + PublicWorld::ip(1) + "/udp/4001/quic-v1");
        const auto is_listening = at.hosts[1]->listen(quic);
        REQUIRE(is_listening.has_value());
        unsigned char number = 100;
        const std::vector<Multiaddr> places{at.address(1).without_peer(), quic};
        for (const Multiaddr& place : places) {
            const PeerId gone = make_identity(number++);
            const auto first = co_await host.connect(place.with_peer(gone));
            REQUIRE_FALSE(first.has_value());
            CHECK(first.error().code == Errc::wrong_peer);
            CHECK(host.known_addresses(gone).empty());
            host.add_address(gone, place);  // as somebody else tells it still
            CHECK(host.known_addresses(gone).empty());
            const auto again = co_await host.open(gone, PublicWorld::kHold);
            REQUIRE_FALSE(again.has_value());
            CHECK(again.error().context.contains("backing off for 300 s"));
            co_await at.clock().sleep_for(Limits().back_off_max);
            host.add_address(gone, place);
            CHECK(host.known_addresses(gone).size() == 1);
        }
    });
}

TEST_CASE("a node dials none of its own sockets, whoever is said to be there") {
    PublicWorld world(1, Limits());
    world.run([](PublicWorld& at) -> io::Task<void> {
        Host& host = *at.hosts[0];
        const Multiaddr declared = address_of("/ip4/203.0.113.200/tcp/4001");
        host.set_told_addresses([declared](const std::vector<Multiaddr>& /*listening*/) {
            return std::vector{declared};
        });
        const PeerId other = make_identity(9);
        const std::vector<Multiaddr> sockets{at.address(0).without_peer(), declared};
        for (const Multiaddr& own : sockets) {
            const auto connected = co_await host.connect(own.with_peer(other));
            REQUIRE_FALSE(connected.has_value());
            CHECK(connected.error().code == Errc::invalid_argument);
            host.add_address(other, own);
        }
        const io::TimePoint begin = at.clock().now();
        const auto stream = co_await host.open(other, PublicWorld::kHold);
        REQUIRE_FALSE(stream.has_value());
        CHECK(stream.error().code == Errc::unavailable);
        CHECK(at.clock().now() == begin);
    });
}

bool is_stranger(const PeerInfo& info) {
    return std::ranges::find(info.protocols, kMember) == info.protocols.end();
}

TEST_CASE("connections to strangers are closed before those to members of the network") {
    Limits limits;
    limits.connections_low = 3;
    limits.connections_high = 5;
    PublicWorld world(9, limits);
    world.run([](PublicWorld& at) -> io::Task<void> {
        Host& host = *at.hosts[0];
        for (const std::size_t member : {1, 2})
            at.hosts[member]->handle(kMember, PublicWorld::hold);
        const auto lease = host.expend_first(is_stranger);
        for (std::size_t i = 1; i < at.hosts.size(); ++i) {
            const auto connected = co_await host.connect(at.address(i));
            REQUIRE(connected.has_value());
            // One that is no stranger any more says so by a push.
            if (i == 3) at.hosts[3]->handle(kMember, PublicWorld::hold);
            co_await at.clock().sleep_for(1s);
        }
        for (const std::size_t member : {1, 2, 3})
            CHECK(host.is_connected(at.hosts[member]->id()));
        for (const std::size_t stranger : {4, 5})
            CHECK_FALSE(host.is_connected(at.hosts[stranger]->id()));
        CHECK(host.is_connected(at.hosts[8]->id()));
    });
}

}  // namespace
}  // namespace kwaai::p2p
