// Routers of the simulated network that translate addresses.
#include "testing/sim_nat.hpp"

#include <functional>
#include <memory>

#include <doctest/doctest.h>

#include "io/task_group.hpp"
#include "io/timeout.hpp"
#include "testing/simulation.hpp"

namespace kwaai::testing {
namespace {

using namespace std::chrono_literals;
using Dialled = Result<std::unique_ptr<io::Stream>>;

const io::Address kPeer{.host = "198.51.100.1", .port = 7};
const io::Address kOther{.host = "198.51.100.2", .port = 7};

TEST_CASE("a cone router gives a port one place, and lets in who was sent to") {
    SimNat nat("203.0.113.1", SimNatKind::cone);
    const io::Address seen = nat.send({1, 4001}, kPeer);
    CHECK(seen.host == "203.0.113.1");
    CHECK(nat.lets_in(seen.port, kPeer));
    CHECK(!nat.lets_in(seen.port, kOther));
    CHECK(nat.send({1, 4001}, kOther).port == seen.port);
    CHECK(nat.lets_in(seen.port, kOther));
    CHECK(nat.owner(seen.port) == SimNat::Inside{1, 4001});
    CHECK(nat.send({2, 4001}, kPeer).port != seen.port);
    CHECK(nat.send({.host = 1, .port = 4001, .is_udp = true}, kPeer).port != seen.port);
    CHECK(!nat.owner(1).has_value());
}

TEST_CASE("a symmetric router gives a port another place for each peer") {
    SimNat nat("203.0.113.1", SimNatKind::symmetric);
    const io::Address seen = nat.send({1, 4001}, kPeer);
    const io::Address other = nat.send({1, 4001}, kOther);
    CHECK(seen.port != other.port);
    CHECK(!nat.lets_in(seen.port, kOther));
    CHECK(nat.send({1, 4001}, kPeer).port == seen.port);
}

io::Task<void> dial_from(io::Network& network,
                         io::Address local,
                         io::Address remote,
                         std::optional<Dialled>& dialled) {
    dialled = co_await network.connect_from(std::move(local), std::move(remote));
}

struct Pair {
    io::Network& one;
    io::Network& other;
    std::optional<Dialled> from_one;
    std::optional<Dialled> from_other;
};

io::Task<void> dial_both(io::TaskGroup& group, Pair& pair) {
    group.spawn(dial_from,
                std::ref(pair.one),
                io::Address{.host = "10.0.0.1", .port = 4001},
                io::Address{.host = "203.0.113.2", .port = 20001},
                std::ref(pair.from_one));
    group.spawn(dial_from,
                std::ref(pair.other),
                io::Address{.host = "10.0.0.2", .port = 4001},
                io::Address{.host = "203.0.113.1", .port = 20001},
                std::ref(pair.from_other));
    co_return;
}

io::Task<void> meet(SimNetwork& network) {
    // Both have spoken to a third host, whose router's place is known from there.
    io::Network& third = network.host("198.51.100.1");
    const auto listener = third.listen({.host = "198.51.100.1", .port = 7});
    REQUIRE(listener.has_value());
    Pair pair{.one = network.host("10.0.0.1"),
              .other = network.host("10.0.0.2"),
              .from_one = {},
              .from_other = {}};
    network.put_behind_nat("10.0.0.1", "203.0.113.1", SimNatKind::cone);
    network.put_behind_nat("10.0.0.2", "203.0.113.2", SimNatKind::cone);
    for (io::Network* const host : {&pair.one, &pair.other}) {
        io::Address local{.host = host == &pair.one ? "10.0.0.1" : "10.0.0.2", .port = 4001};
        io::Address remote = kPeer;
        const auto dialled = co_await host->connect_from(std::move(local), std::move(remote));
        REQUIRE(dialled.has_value());
        const auto taken = co_await (*listener)->accept();
        REQUIRE(taken.has_value());
        CHECK((*taken)->peer().ends_with(":20001"));
    }
    co_await io::with_group(dial_both, std::ref(pair));
    REQUIRE(pair.from_one.has_value());
    REQUIRE(pair.from_other.has_value());
    REQUIRE(pair.from_one->has_value());
    REQUIRE(pair.from_other->has_value());
    CHECK((**pair.from_one)->peer() == "203.0.113.2:20001");
    CHECK((**pair.from_other)->peer() == "203.0.113.1:20001");
    const std::array<std::byte, 3> sent{};
    const Bytes out(sent);
    const auto written = co_await (**pair.from_one)->write(out);
    REQUIRE(written.has_value());
    std::array<std::byte, 3> got{};
    const MutableBytes in(got);
    const auto count = co_await (**pair.from_other)->read_some(in);
    CHECK(count.has_value());
}

TEST_CASE("two hosts behind routers meet where both dial the other's place") {
    Simulation simulation;
    SimNetwork network(simulation.clock(), {.seed = 1});
    simulation.run(meet(network));
}

io::Task<void> knock(SimNetwork& network, io::Clock& clock) {
    io::Network& inside = network.host("10.0.0.1");
    const auto listener = inside.listen({.host = "0.0.0.0", .port = 4001});
    REQUIRE(listener.has_value());
    network.put_behind_nat("10.0.0.1", "203.0.113.1", SimNatKind::cone);
    for (const char* host : {"203.0.113.1", "10.0.0.1"}) {
        io::Address remote{.host = host, .port = 4001};
        auto knocking = network.host("198.51.100.1").connect(std::move(remote));
        const auto dialled = co_await io::with_timeout(clock, 30s, std::move(knocking));
        REQUIRE(!dialled.has_value());
        CHECK(dialled.error().code == Errc::timed_out);
    }
}

TEST_CASE("nobody is let in whom nobody has spoken to") {
    Simulation simulation;
    SimNetwork network(simulation.clock(), {.seed = 1});
    simulation.run(knock(network, simulation.clock()));
}

}  // namespace
}  // namespace kwaai::testing
