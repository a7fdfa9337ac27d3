#include "p2p/bounds/gater.hpp"

#include <doctest/doctest.h>

#include "p2p/bounds/source_limiter.hpp"
#include "p2p/host_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a network contains the addresses that begin with its bits") {
    const Subnet four = Subnet::parse("192.0.2.128/25").value();
    CHECK(four.contains("192.0.2.128"));
    CHECK(four.contains("::ffff:192.0.2.255"));
    CHECK_FALSE(four.contains("192.0.2.127"));
    CHECK_FALSE(four.contains("2001:db8::1"));
    CHECK_FALSE(four.contains("no address"));
    const Subnet six = Subnet::parse("2001:db8:0:ff00::/56").value();
    CHECK(six.contains("2001:db8:0:ffff::1"));
    CHECK_FALSE(six.contains("2001:db8:0:fe00::1"));
    CHECK(Subnet::parse("0.0.0.0/0").value().contains("203.0.113.9"));
    CHECK(Subnet::parse("203.0.113.9").value().contains("203.0.113.9"));
    for (const char* const wrong : {"", "1.2.3", "1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/x"})
        CHECK_FALSE(Subnet::parse(wrong).has_value());
}

TEST_CASE("a block list refuses peers and networks, in both directions, until they are let go") {
    BlockList list;
    const PeerId peer = make_identity(1);
    const PeerId other = make_identity(2);
    const Multiaddr address = Multiaddr::parse("/ip4/192.0.2.7/tcp/1").value();
    const Subnet subnet = Subnet::parse("192.0.2.0/24").value();
    CHECK(list.may_keep(peer, Direction::inbound, address));
    list.block(peer);
    CHECK_FALSE(list.may_dial_peer(peer));
    CHECK_FALSE(list.may_keep(peer, Direction::inbound, address));
    CHECK(list.may_keep(other, Direction::inbound, address));
    list.unblock(peer);
    list.block(subnet);
    CHECK_FALSE(list.may_accept("192.0.2.7"));
    CHECK_FALSE(list.may_dial(other, "192.0.2.7"));
    CHECK_FALSE(list.may_keep(other, Direction::outbound, address));
    CHECK(list.may_accept("192.0.3.7"));
    list.unblock(subnet);
    CHECK(list.may_accept("192.0.2.7"));
}

/// How many may come at once while all before them stay.
std::size_t admitted_at_once(SourceLimiter& limiter, std::string_view ip, io::TimePoint now) {
    std::vector<SourceLimiter::Admitted> held;
    while (held.size() < 500) {
        SourceLimiter::Admitted one = limiter.admit(ip, now);
        if (one.pending == nullptr) break;
        held.push_back(std::move(one));
    }
    return held.size();
}

TEST_CASE("an address has so many handshakes and connections, and gets its places back") {
    Limits limits;
    limits.pending_inbound_per_ip_max = 3;
    limits.connections_per_ip_max = 5;
    limits.accept_burst = 100;
    SourceLimiter limiter(limits, {});
    const io::TimePoint now(1h);
    CHECK(admitted_at_once(limiter, "192.0.2.1", now) == 3);
    std::vector<SourceLease> connections;
    for (int i = 0; i < 5; ++i)
        connections.push_back(limiter.admit("192.0.2.1", now).connection);
    CHECK(limiter.admit("192.0.2.1", now).pending == nullptr);
    CHECK(limiter.admit("192.0.2.2", now).pending != nullptr);
    connections.pop_back();
    CHECK(limiter.admit("192.0.2.1", now).pending != nullptr);
}

TEST_CASE("an IPv6 network counts as one address, and a site has a limit of its own") {
    Limits limits;
    limits.accept_burst = 100;
    SourceLimiter limiter(limits, {});
    const io::TimePoint now(1h);
    std::vector<SourceLease> connections;
    for (int network = 0; network < 16; ++network)
        for (int host = 0; host < 10; ++host) {
            const std::string ip = "2001:db8:1:" + std::string(1, "0123456789abcdef"[network]) +
                                   "00::" + std::to_string(host + 1);
            if (auto one = limiter.admit(ip, now); one.pending != nullptr)
                connections.push_back(std::move(one.connection));
        }
    CHECK(connections.size() == limits.connections_per_ip6_48_max);
    CHECK(limiter.admit("2001:db8:2::1", now).pending != nullptr);
}

TEST_CASE("an address that comes often is slowed down; loopback and trusted networks are not") {
    const Limits limits;
    SourceLimiter limiter(limits, {Subnet::parse("10.1.0.0/16").value()});
    io::TimePoint now(1h);
    const auto admitted = [&](std::string_view ip) {
        std::size_t count = 0;
        while (count < 500 && limiter.admit(ip, now).pending != nullptr)
            ++count;
        return count;
    };
    CHECK(admitted("192.0.2.1") == limits.accept_burst);
    CHECK(admitted("192.0.2.2") == limits.accept_burst);
    now += limits.accept_period - 1ms;
    CHECK(admitted("192.0.2.1") == 0);
    now += 1ms;
    CHECK(admitted("192.0.2.1") == 1);
    now += 1h;
    CHECK(admitted("192.0.2.1") == limits.accept_burst);
    CHECK(admitted("127.0.0.1") == 500);
    CHECK(admitted("::1") == 500);
    CHECK(admitted("10.1.2.3") == 500);
}

TEST_CASE("an address is quiet while more than half of what it may is left") {
    Limits limits;
    limits.accept_burst = 6;
    limits.pending_inbound_per_ip_max = 100;
    SourceLimiter limiter(limits, {});
    io::TimePoint now(1h);
    const auto admitted = [&] {
        std::size_t count = 0;
        while (count < 500 && limiter.is_quiet("192.0.2.1", now) &&
               limiter.admit("192.0.2.1", now).pending != nullptr)
            ++count;
        return count;
    };
    CHECK(admitted() == 3);
    CHECK(limiter.is_quiet("192.0.2.2", now));
    CHECK(limiter.is_quiet("127.0.0.1", now));
    now += limits.accept_period;
    CHECK(admitted() == 1);
    CHECK(admitted_at_once(limiter, "192.0.2.1", now) == 3);
}

TEST_CASE("an address is not quiet while half of its handshakes are under way") {
    Limits limits;
    limits.pending_inbound_per_ip_max = 4;
    SourceLimiter limiter(limits, {});
    const io::TimePoint now(1h);
    SourceLimiter::Admitted one = limiter.admit("192.0.2.1", now);
    CHECK(limiter.is_quiet("192.0.2.1", now));
    const SourceLimiter::Admitted other = limiter.admit("192.0.2.1", now);
    CHECK_FALSE(limiter.is_quiet("192.0.2.1", now));
    one = {};
    CHECK(limiter.is_quiet("192.0.2.1", now));
}

TEST_CASE("only so many addresses are remembered") {
    Limits limits;
    limits.accept_sources_max = 10;
    SourceLimiter limiter(limits, {});
    for (int i = 0; i < 200; ++i)
        CHECK(limiter.admit("192.0.2." + std::to_string(i), io::TimePoint(1h)).pending != nullptr);
    CHECK(limiter.source_count() == 10);
}

}  // namespace
}  // namespace kwaai::p2p
