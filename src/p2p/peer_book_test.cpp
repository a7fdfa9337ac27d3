#include "p2p/peer_book.hpp"

#include <doctest/doctest.h>

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

constexpr io::TimePoint kStart(1h);

PeerId make_peer(unsigned char number) {
    std::array<std::byte, 32> seed{};
    seed[0] = std::byte{number};
    return PeerId::of(crypto::PrivateKey::ed25519_from_seed(seed).public_key());
}

Multiaddr address(int port) {
    return Multiaddr::parse("/ip4/127.0.0.1/tcp/" + std::to_string(port)).value();
}

TEST_CASE("an unknown peer has no candidates") {
    PeerBook book{Limits()};
    CHECK_FALSE(book.candidates(make_peer(1), kStart).is_known);
}

TEST_CASE("the newest address is tried first, and an address is kept once") {
    PeerBook book{Limits()};
    const PeerId peer = make_peer(1);
    book.add(peer, address(1), kStart);
    book.add(peer, address(2).with_peer(peer), kStart);
    book.add(peer, address(1), kStart);
    const auto found = book.candidates(peer, kStart);
    REQUIRE(found.ready.size() == 2);
    CHECK(found.ready[0] == address(2));
    CHECK(found.ready[1] == address(1));
}

TEST_CASE("the address that worked last is tried first") {
    PeerBook book{Limits()};
    const PeerId peer = make_peer(1);
    for (const int port : {1, 2, 3})
        book.add(peer, address(port), kStart);
    book.succeeded(peer, address(1));
    CHECK(book.candidates(peer, kStart).ready.front() == address(1));
}

TEST_CASE("WebSocket addresses are tried behind plain ones, also where they worked last") {
    PeerBook book{Limits()};
    const PeerId peer = make_peer(1);
    const Multiaddr over = Multiaddr::parse("/ip4/127.0.0.1/tcp/1/ws").value();
    for (const Multiaddr& one : {address(1), over, address(2)})
        book.add(peer, one, kStart);
    book.succeeded(peer, over);
    const auto found = book.candidates(peer, kStart);
    REQUIRE(found.ready.size() == 3);
    CHECK(found.ready[0] == address(2));
    CHECK(found.ready[1] == address(1));
    CHECK(found.ready[2] == over);
}

TEST_CASE("a failed address is left alone, twice as long each time, up to a limit") {
    Limits limits;
    PeerBook book{limits};
    const PeerId peer = make_peer(1);
    io::TimePoint now = kStart;
    book.add(peer, address(1), kStart);
    io::Duration expected = limits.back_off_first;
    for (int round = 0; round < 40; ++round) {
        book.add(peer, address(1), now);  // told again, so that it is not forgotten
        book.failed(peer, address(1), "connection refused", now);
        const auto waiting = book.candidates(peer, now);
        CHECK(waiting.ready.empty());
        CHECK(waiting.is_known);
        CHECK(waiting.back_off == expected);
        CHECK(waiting.last_failure == "connection refused");
        now += expected;
        CHECK(book.candidates(peer, now).ready.size() == 1);
        expected = std::min<io::Duration>(expected * 2, limits.back_off_max);
    }
    book.succeeded(peer, address(1));
    book.failed(peer, address(1), "reset", now);
    CHECK(book.candidates(peer, now).back_off == limits.back_off_first);
}

TEST_CASE("addresses and peers are bounded; the oldest make room (CVE-2023-40583)") {
    Limits limits;
    limits.addresses_per_peer = 3;
    limits.known_peers_max = 2;
    limits.dials_per_peer_max = 2;
    PeerBook book{limits};
    const PeerId peer = make_peer(1);
    for (const int port : {1, 2, 3, 4})
        book.add(peer, address(port), kStart);
    CHECK(book.addresses(peer, kStart) == std::vector{address(2), address(3), address(4)});
    CHECK(book.candidates(peer, kStart).ready == std::vector{address(4), address(3)});
    book.add(make_peer(2), address(1), kStart);
    static_cast<void>(book.candidates(peer, kStart));
    book.add(make_peer(3), address(1), kStart);
    CHECK(book.size() == 2);
    CHECK(book.addresses(make_peer(2), kStart).empty());
    CHECK_FALSE(book.addresses(peer, kStart).empty());
}

TEST_CASE("an address is forgotten so long after it was told last") {
    Limits limits;
    limits.address_lifetime = 10min;
    PeerBook book{limits};
    const PeerId peer = make_peer(1);
    book.add(peer, address(1), kStart);
    book.add(peer, address(2), kStart);
    book.add(peer, address(1), kStart + 6min);
    CHECK(book.addresses(peer, kStart + 9min) == std::vector{address(1), address(2)});
    CHECK(book.addresses(peer, kStart + 10min) == std::vector{address(1)});
    CHECK(book.candidates(peer, kStart + 10min).ready == std::vector{address(1)});
    CHECK_FALSE(book.candidates(peer, kStart + 16min).is_known);
    CHECK(book.size() == 0);
}

TEST_CASE("addresses of a connected peer stay, and for a while after its connection") {
    Limits limits;
    limits.address_lifetime = 10min;
    limits.address_connected_lifetime = 20min;
    PeerBook book{limits};
    const PeerId peer = make_peer(1);
    book.add(peer, address(1), kStart);
    book.connected(peer);
    const io::TimePoint end = kStart + 100h;
    CHECK(book.candidates(peer, end).ready == std::vector{address(1)});
    book.disconnected(peer, end);
    CHECK(book.addresses(peer, end + 19min) == std::vector{address(1)});
    CHECK(book.addresses(peer, end + 20min).empty());
    CHECK_FALSE(book.candidates(peer, end + 20min).is_known);
}

TEST_CASE("a connected peer makes no room for those that are heard of") {
    Limits limits;
    limits.known_peers_max = 2;
    PeerBook book{limits};
    book.add(make_peer(1), address(1), kStart);
    book.connected(make_peer(1));
    book.add(make_peer(2), address(1), kStart);
    book.add(make_peer(3), address(1), kStart);
    CHECK(book.size() == 2);
    CHECK_FALSE(book.addresses(make_peer(1), kStart).empty());
    CHECK(book.addresses(make_peer(2), kStart).empty());
}

TEST_CASE("an address where another peer was found is not told, tried nor taken for a while") {
    const Limits limits;
    PeerBook book{limits};
    const PeerId peer = make_peer(1);
    book.add(peer, address(1), kStart);
    book.found_another(peer, address(1), "another peer", kStart);
    const auto waiting = book.candidates(peer, kStart);
    CHECK(waiting.ready.empty());
    CHECK(waiting.back_off == limits.back_off_max);
    CHECK(waiting.last_failure == "another peer");
    book.add(peer, address(2), kStart + 1min);
    book.add(peer, address(1), kStart + 1min);
    CHECK(book.addresses(peer, kStart + 1min) == std::vector{address(2)});
    CHECK(book.candidates(peer, kStart + 1min).ready == std::vector{address(2)});
    const io::TimePoint later = kStart + limits.back_off_max;
    CHECK(book.addresses(peer, later) == std::vector{address(2)});
    book.add(peer, address(1), later);
    CHECK(book.addresses(peer, later) == std::vector{address(2), address(1)});
}

}  // namespace
}  // namespace kwaai::p2p
