#include "p2p/relay/relay_state.hpp"

#include <set>

#include <doctest/doctest.h>

#include "p2p/host_world_test.hpp"
#include "p2p/relay/relay_candidates.hpp"

namespace kwaai::p2p::relay {
namespace {

using namespace std::chrono_literals;

constexpr io::TimePoint kStart{};

Multiaddr address(const std::string& text) {
    return Multiaddr::parse(text).value();
}

// The class of CVE-2026-35405 and GHSA-v5hw-cv9c-rpg7 (registrations without end).
TEST_CASE("a relay has places for so many peers in all") {
    RelayLimits limits;
    limits.reservations_max = 2;
    RelayState state(limits);
    CHECK(state.reserve(make_identity(1), "a", kStart) == Status::ok);
    CHECK(state.reserve(make_identity(2), "b", kStart) == Status::ok);
    CHECK(state.reserve(make_identity(3), "c", kStart) == Status::reservation_refused);
    CHECK(state.reserve(make_identity(1), "a", kStart + 1s) == Status::ok);  // renewed
    state.forget(make_identity(2));
    CHECK(state.reserve(make_identity(3), "c", kStart) == Status::ok);
    CHECK(state.reservation_count() == 2);
}

TEST_CASE("a relay has places for so many peers of one address") {
    RelayLimits limits;
    limits.reservations_per_ip_max = 2;
    RelayState state(limits);
    const std::string one = source_of(address("/ip4/192.0.2.1/tcp/1"));
    CHECK(state.reserve(make_identity(1), one, kStart) == Status::ok);
    CHECK(state.reserve(make_identity(2), one, kStart) == Status::ok);
    CHECK(state.reserve(make_identity(3), one, kStart) == Status::reservation_refused);
    CHECK(state.reserve(make_identity(2), one, kStart) == Status::ok);
    const std::string other = source_of(address("/ip4/192.0.2.2/tcp/1"));
    CHECK(state.reserve(make_identity(3), other, kStart) == Status::ok);
    for (unsigned char i = 4; i < 9; ++i)  // loopback is exempt
        CHECK(state.reserve(make_identity(i), "", kStart) == Status::ok);
}

TEST_CASE("an IPv6 address counts by its /56, and what is no address not at all") {
    const std::string one = source_of(address("/ip6/2001:db8:1:200::1/tcp/1"));
    CHECK(one == source_of(address("/ip6/2001:db8:1:2ff::9/tcp/7")));
    CHECK(one != source_of(address("/ip6/2001:db8:1:300::1/tcp/1")));
    CHECK(source_of(address("/ip4/127.0.0.1/tcp/1")).empty());
    CHECK(source_of(address("/dns4/example.org/tcp/1")).empty());
}

TEST_CASE("a reservation expires") {
    RelayLimits limits;
    limits.reservation_duration = 60s;
    RelayState state(limits);
    const PeerId peer = make_identity(1);
    CHECK(state.reserve(peer, "", kStart) == Status::ok);
    CHECK(state.has_reservation(peer, kStart + 59s));
    CHECK(!state.has_reservation(peer, kStart + 60s));
    CHECK(state.begin_circuit(make_identity(2), peer, kStart + 61s) == Status::no_reservation);
}

TEST_CASE("a relay carries so many circuits, of all and of one peer") {
    RelayLimits limits;
    limits.circuits_max = 3;
    limits.circuits_per_peer_max = 2;
    RelayState state(limits);
    for (unsigned char i = 1; i < 5; ++i)
        CHECK(state.reserve(make_identity(i), "", kStart) == Status::ok);
    const auto begin = [&state](unsigned char from, unsigned char to) {
        return state.begin_circuit(make_identity(from), make_identity(to), kStart);
    };
    CHECK(begin(1, 1) == Status::permission_denied);
    CHECK(begin(1, 9) == Status::no_reservation);
    CHECK(begin(1, 2) == Status::ok);
    CHECK(begin(1, 3) == Status::ok);
    CHECK(begin(1, 4) == Status::resource_limit_exceeded);  // the source has its two
    CHECK(begin(9, 2) == Status::ok);
    CHECK(begin(4, 3) == Status::resource_limit_exceeded);  // all three are there
    state.end_circuit(make_identity(1), make_identity(2));
    CHECK(begin(4, 3) == Status::ok);
    CHECK(begin(8, 3) == Status::resource_limit_exceeded);
    CHECK(state.circuit_count() == 3);
}

TEST_CASE("a relay answers so many requests at a time and in a minute") {
    RelayLimits limits;
    limits.requests_per_peer_max = 2;
    limits.requests_of_peer_per_minute = 4;
    limits.requests_of_ip_per_minute = 6;
    RelayState state(limits);
    const PeerId peer = make_identity(1);
    CHECK(state.begin_request(peer, "", kStart));
    CHECK(state.begin_request(peer, "", kStart));
    CHECK(!state.begin_request(peer, "", kStart));  // two are under way
    state.end_request(peer);
    state.end_request(peer);
    for (int i = 0; i < 2; ++i) {
        CHECK(state.begin_request(peer, "", kStart));
        state.end_request(peer);
    }
    CHECK(!state.begin_request(peer, "", kStart));  // four were answered
    CHECK(state.begin_request(peer, "", kStart + 15s));
    state.end_request(peer);
    // The same from one address, whoever asks.
    for (unsigned char i = 10; i < 16; ++i)
        CHECK(state.begin_request(make_identity(i), "x", kStart));
    CHECK(!state.begin_request(make_identity(16), "x", kStart));
    CHECK(state.begin_request(make_identity(16), "y", kStart));
}

TEST_CASE("a relay answers so many requests of all at a time, and remembers so many rates") {
    RelayLimits limits;
    limits.requests_max = 3;
    limits.rates_max = 4;
    RelayState state(limits);
    for (unsigned char i = 0; i < 3; ++i)
        CHECK(state.begin_request(make_identity(i), "", kStart));
    CHECK(!state.begin_request(make_identity(3), "", kStart));
    for (unsigned char i = 0; i < 3; ++i)
        state.end_request(make_identity(i));
    CHECK(state.begin_request(make_identity(4), "", kStart));
    CHECK(!state.begin_request(make_identity(5), "", kStart + 1s));  // no room for its rate
    CHECK(state.begin_request(make_identity(5), "", kStart + 61s));
}

TEST_CASE("given relays are tried first, and those that failed later and later") {
    RelayCandidates candidates(
        {.candidates_max = 2, .back_off_first = 10s, .back_off_max = 30s, .back_off_jitter = 0});
    const auto place = [](unsigned char number) {
        return address("/ip4/192.0.2.1/tcp/1").with_peer(make_identity(number));
    };
    candidates.add(place(1), false);
    candidates.add(place(2), false);
    candidates.add(place(3), false);  // one too many
    candidates.add(place(4), true);
    CHECK(candidates.size() == 3);
    CHECK(candidates.take(kStart) == place(4));
    CHECK(candidates.take(kStart) == place(1));
    CHECK(candidates.in_use() == 2);
    candidates.ended(make_identity(4), kStart);
    candidates.ended(make_identity(1), kStart);
    CHECK(candidates.take(kStart) == place(2));
    CHECK(!candidates.take(kStart + 9s).has_value());
    CHECK(candidates.take(kStart + 10s) == place(4));
    candidates.ended(make_identity(4), kStart);
    CHECK(candidates.take(kStart + 19s) == place(1));
    CHECK(!candidates.take(kStart + 19s).has_value());
    CHECK(candidates.take(kStart + 20s) == place(4));
    candidates.succeeded(make_identity(4));
    candidates.ended(make_identity(4), kStart);
    CHECK(candidates.take(kStart + 10s) == place(4));
    // Who failed makes room for others.
    candidates.ended(make_identity(1), kStart);
    candidates.add(place(3), false);
    CHECK(candidates.take(kStart) == place(3));
}

TEST_CASE("nodes come back to a relay up to a fifth sooner or later, not together") {
    const Multiaddr relay = address("/ip4/192.0.2.1/tcp/1").with_peer(make_identity(1));
    std::set<int> waits;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        RelayCandidates candidates({.back_off_first = 100s}, seed);
        candidates.add(relay, true);
        CHECK(candidates.take(kStart) == relay);
        candidates.ended(make_identity(1), kStart);
        int wait = 79;
        while (wait < 121 && !candidates.take(kStart + std::chrono::seconds(wait)))
            ++wait;
        CHECK(wait >= 80);
        CHECK(wait <= 120);
        waits.insert(wait);
    }
    CHECK(waits.size() > 10);
}

}  // namespace
}  // namespace kwaai::p2p::relay
