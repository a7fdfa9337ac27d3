#include "p2p/nat/address_state.hpp"

#include <algorithm>

#include <doctest/doctest.h>

#include "p2p/nat/address_parts.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

const io::TimePoint kBegin{};

Multiaddr at(const std::string& text) {
    return Multiaddr::parse(text).value();
}

Multiaddr peer_at(unsigned number) {
    return at("/ip4/198.51.100." + std::to_string(number) + "/tcp/9");
}

const std::string kRelay =
    "/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

struct Node {
    AddressState state{AddressLimits()};
    Multiaddr lan = at("/ip4/192.168.1.5/tcp/4001");
    Multiaddr outside = at("/ip4/203.0.113.5/tcp/4001");

    Node() { state.set_listening({at("/ip4/127.0.0.1/tcp/4001"), lan}); }

    void observe(unsigned observers, bool is_inbound = true, io::TimePoint now = kBegin) {
        for (unsigned i = 1; i <= observers; ++i)
            state.observe(peer_at(i), outside, is_inbound, now);
    }

    [[nodiscard]] bool tells(const Multiaddr& address, io::TimePoint now) const {
        const auto all = state.told(now);
        return std::ranges::find(all, address) != all.end();
    }
};

TEST_CASE("a node tells the addresses of its interfaces, and none that lead nowhere") {
    AddressState state{AddressLimits()};
    state.set_listening({at("/ip4/0.0.0.0/tcp/4001"),
                         at("/ip4/10.0.0.1/tcp/0"),
                         at("/ip4/10.0.0.1/tcp/4001"),
                         at("/ip4/10.0.0.1/tcp/4001/ws")});
    const std::vector expected{at("/ip4/10.0.0.1/tcp/4001"), at("/ip4/10.0.0.1/tcp/4001/ws")};
    CHECK(state.told(kBegin) == expected);
    CHECK(state.external(kBegin).empty());
    CHECK(state.reachability(kBegin) == Reachability::unknown);
}

TEST_CASE("an observed address is told once four networks agree on it and the grace is over") {
    Node node;
    node.observe(3);
    node.state.observe(at("/ip4/198.51.100.1/tcp/77"), node.outside, true, kBegin);  // seen before
    CHECK_FALSE(node.tells(node.outside, kBegin + 1min));
    node.observe(4);
    CHECK_FALSE(node.tells(node.outside, kBegin + 44s));
    CHECK(node.tells(node.outside, kBegin + 45s));
    CHECK(node.state.told(kBegin + 45s).front() == node.outside);
    CHECK(node.state.reachability(kBegin + 45s) == Reachability::reachable);
    CHECK_FALSE(node.tells(node.outside, kBegin + 30min));
}

TEST_CASE("peers of one IPv6 /56 are one observer") {
    Node node;
    const Multiaddr seen = at("/ip6/2001:db9::5/tcp/4001");
    for (int i = 1; i < 9; ++i)
        node.state.observe(
            at("/ip6/2001:db9:1:" + std::to_string(i) + "::1/tcp/9"), seen, true, kBegin);
    CHECK_FALSE(node.tells(seen, kBegin + 1min));
    for (int i = 1; i < 5; ++i)
        node.state.observe(
            at("/ip6/2001:db9:1:" + std::to_string(i) + "00::1/tcp/9"), seen, true, kBegin);
    CHECK(node.tells(seen, kBegin + 1min));
}

TEST_CASE("of connections that we dialled the IP counts, with our port, as a candidate alone") {
    Node node;
    for (unsigned i = 1; i < 9; ++i)
        node.state.observe(
            peer_at(i), at("/ip4/203.0.113.5/tcp/" + std::to_string(50000 + i)), false, kBegin);
    CHECK_FALSE(node.tells(node.outside, kBegin + 1min));
    CHECK(node.state.candidates(kBegin) == std::vector{node.outside});
}

TEST_CASE("nothing is learnt over relays, from near peers, or about near addresses") {
    Node node;
    for (unsigned i = 1; i < 9; ++i) {
        node.state.observe(
            at("/ip4/10.0.0." + std::to_string(i) + "/tcp/9"), node.outside, true, kBegin);
        node.state.observe(at(kRelay + "/p2p-circuit"), node.outside, true, kBegin);
        node.state.observe(peer_at(i), at("/ip4/192.168.1.7/tcp/4001"), true, kBegin);
        node.state.observe(peer_at(i), at(kRelay + "/p2p-circuit"), true, kBegin);
    }
    CHECK(node.state.size() == 0);
}

TEST_CASE("whoever is told much by one peer remembers little, and keeps what peers agree on") {
    Node node;
    node.observe(4);
    const AddressLimits limits;
    for (unsigned i = 0; i < 1000; ++i)
        node.state.observe(
            peer_at(9), at("/ip4/203.0.113.9/tcp/" + std::to_string(1 + i)), true, kBegin);
    CHECK(node.state.size() == limits.observed_max);
    CHECK(node.tells(node.outside, kBegin + 1min));
    for (unsigned i = 0; i < 1000; ++i)
        node.state.set_verdict(
            at("/ip4/203.0.113.9/tcp/" + std::to_string(1 + i)), Reachability::reachable, kBegin);
    CHECK(node.state.size() == limits.observed_max + 2 * limits.candidates_max);
    CHECK(node.state.told(kBegin).size() <= limits.told_max);
    CHECK(node.state.candidates(kBegin).size() == limits.candidates_max);
}

TEST_CASE("no more than three observed addresses are told") {
    Node node;
    for (unsigned port = 1; port < 9; ++port)
        for (unsigned i = 1; i < 9; ++i)
            node.state.observe(
                peer_at(i), at("/ip4/203.0.113.5/tcp/" + std::to_string(port)), true, kBegin);
    CHECK(node.state.external(kBegin + 1min).size() == 3);
}

TEST_CASE("where a dialled peer sees a node over QUIC AutoNAT is asked about, and nobody told") {
    Node node;
    const Multiaddr seen = at("/ip4/203.0.113.5/udp/33001/quic-v1");
    node.state.observe(peer_at(1), seen, false, kBegin);  // nothing listens there: only an IP
    CHECK(node.state.candidates(kBegin) == std::vector{node.outside});
    node.state.set_listening({node.lan, at("/ip4/192.168.1.5/udp/4001/quic-v1")});
    for (unsigned i = 1; i <= 5; ++i)
        node.state.observe(peer_at(i), seen, false, kBegin);
    CHECK(node.state.candidates(kBegin) == std::vector{seen, node.outside});
    CHECK_FALSE(node.tells(seen, kBegin + 1min));
}

TEST_CASE("AutoNAT's verdict goes before the router's mapping and the observers") {
    Node node;
    const Multiaddr mapped = at("/ip4/203.0.113.5/tcp/6001");
    node.state.set_addresses(AddressSource::mapped,
                             {mapped, at("/ip4/100.64.0.9/tcp/4001")});  // behind another NAT
    node.observe(4);
    const io::TimePoint later = kBegin + 1min;
    CHECK(node.state.external(later) == std::vector{mapped, node.outside});
    node.state.set_verdict(mapped, Reachability::unreachable, later);
    CHECK(node.state.external(later) == std::vector{node.outside});
    CHECK(node.state.reachability(later) == Reachability::reachable);
    node.state.set_node_verdict(Reachability::unreachable);  // v1
    CHECK(node.state.external(later).empty());
    CHECK(node.state.reachability(later) == Reachability::unreachable);
    node.state.set_verdict(mapped, Reachability::reachable, later);  // v2 is more precise
    CHECK(node.state.external(later) == std::vector{mapped});
    CHECK(node.state.reachability(later) == Reachability::reachable);
    CHECK(node.state.reachability(later + 3h) == Reachability::unreachable);
}

TEST_CASE("what the owner declares is believed") {
    Node node;
    const Multiaddr declared = at("/dns4/node.example.org/tcp/443/ws");
    node.state.set_addresses(AddressSource::declared, {declared});
    node.state.set_node_verdict(Reachability::unreachable);
    node.state.set_verdict(declared, Reachability::unreachable, kBegin);
    CHECK(node.state.reachability(kBegin) == Reachability::reachable);
    CHECK(node.state.told(kBegin).front() == declared);
    CHECK(node.state.candidates(kBegin).empty());
}

TEST_CASE("an address of an interface that AutoNAT could not reach is not told") {
    Node node;
    const Multiaddr firewalled = at("/ip4/203.0.113.8/tcp/4001");
    node.state.set_listening({node.lan, firewalled});
    CHECK(node.tells(firewalled, kBegin));
    CHECK(node.state.candidates(kBegin) == std::vector{firewalled});
    node.state.set_verdict(firewalled, Reachability::unreachable, kBegin);
    CHECK(node.state.told(kBegin) == std::vector{node.lan});
    CHECK(node.state.reachability(kBegin) == Reachability::unreachable);
}

TEST_CASE("relays are told while nothing shows that the node is reachable, with the relay's id") {
    Node node;
    const Multiaddr circuit = at(kRelay + "/p2p-circuit");
    node.state.set_addresses(
        AddressSource::relay,
        {circuit.with_peer(circuit.without_peer().peer().value_or(
             PeerId::parse("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N").value())),
         node.outside});
    CHECK(node.state.told(kBegin).back() == circuit);
    CHECK(node.state.external(kBegin).empty());
    node.state.set_verdict(node.outside, Reachability::reachable, kBegin);
    CHECK_FALSE(node.tells(circuit, kBegin));
}

TEST_CASE("a node that is reached over relays alone tells of nothing else") {
    AddressState state(AddressLimits(), true);
    const Multiaddr circuit = at(kRelay + "/p2p-circuit");
    state.set_listening({at("/ip4/192.168.1.5/tcp/4001")});
    state.set_verdict(at("/ip4/203.0.113.5/tcp/4001"), Reachability::reachable, kBegin);
    CHECK(state.told(kBegin).empty());
    state.set_addresses(AddressSource::relay, {circuit});
    CHECK(state.told(kBegin) == std::vector{circuit});
}

TEST_CASE("a node knows its own sockets") {
    Node node;
    node.state.set_verdict(node.outside, Reachability::reachable, kBegin);
    CHECK(node.state.is_own(at("/ip4/192.168.1.5/tcp/4001/ws"), kBegin));
    CHECK(node.state.is_own(at("/ip4/203.0.113.5/tcp/4001"), kBegin));
    CHECK_FALSE(node.state.is_own(at("/ip4/203.0.113.5/tcp/4002"), kBegin));
    CHECK_FALSE(node.state.is_own(at("/ip4/203.0.113.5/udp/4001"), kBegin));
    CHECK_FALSE(node.state.is_own(at(kRelay + "/p2p-circuit"), kBegin));
}

TEST_CASE("0.0.0.0 and :: stand for the interfaces of their family") {
    const Interfaces interfaces = [](io::IpFamily family) {
        return family == io::IpFamily::v4 ? std::vector<std::string>{"127.0.0.1", "10.0.0.4"}
                                          : std::vector<std::string>{"2001:db8::7"};
    };
    CHECK(at_interfaces(at("/ip4/0.0.0.0/tcp/7/ws"), interfaces) ==
          std::vector{at("/ip4/127.0.0.1/tcp/7/ws"), at("/ip4/10.0.0.4/tcp/7/ws")});
    CHECK(at_interfaces(at("/ip6/::/tcp/7"), interfaces) ==
          std::vector{at("/ip6/2001:db8::7/tcp/7")});
    CHECK(at_interfaces(at("/ip4/10.0.0.9/tcp/7"), interfaces) ==
          std::vector{at("/ip4/10.0.0.9/tcp/7")});
    CHECK(with_ip_of(at("/ip4/10.0.0.9/tcp/7/ws"), at("/ip6/2001:db8::7/tcp/1")) ==
          at("/ip6/2001:db8::7/tcp/7/ws"));
    CHECK_FALSE(with_ip_of(at("/dns4/a.example/tcp/7"), at("/ip4/10.0.0.9/tcp/7")));
    CHECK(port_of(at("/ip4/10.0.0.9/udp/513")) == 513);
}

}  // namespace
}  // namespace kwaai::p2p
