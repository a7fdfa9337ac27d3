// Direct connections out of relayed ones, through simulated routers that translate addresses.
#include <doctest/doctest.h>

#include "p2p/length_prefixed.hpp"
#include "p2p/relay/relay_world_test.hpp"

namespace kwaai::p2p::relay {
namespace {

using namespace std::chrono_literals;
using testing::SimNatKind;

constexpr std::size_t kRelay = 0;
constexpr std::size_t kTarget = 1;
constexpr std::size_t kSource = 2;
constexpr const char* kTargetRouter = "203.0.113.1";
constexpr const char* kSourceRouter = "203.0.113.2";

std::string host_of(const Multiaddr& address) {
    const auto target = address.target();
    return target ? target->host : std::string();
}

struct Outcome {
    std::optional<Result<PeerId>> connected;
    Result<std::unique_ptr<Stream>> stream = fail(Errc::closed, "not tried");
    io::Duration took{};
};

io::Task<void> connect_and_open(RelayWorld& world, Outcome& outcome) {
    const auto place = co_await world.reserve(kTarget, kRelay);
    REQUIRE(place.has_value());
    Host& source = world.host(kSource);
    const io::TimePoint begin = world.clock().now();
    outcome.connected = co_await source.connect(world.circuit(kRelay, kTarget));
    REQUIRE(outcome.connected->has_value());
    const OpenOptions patient{.timeout = 3min};
    outcome.stream = co_await source.open(**outcome.connected, kEcho, patient);
    outcome.took = world.clock().now() - begin;
}

io::Task<void> punch_beside(io::TaskGroup& group, RelayWorld& world, Outcome& outcome) {
    group.spawn(&HolePuncher::run, std::ref(world.puncher(kTarget)));
    group.spawn(&HolePuncher::run, std::ref(world.puncher(kSource)));
    co_await connect_and_open(world, outcome);
    co_await world.clock().sleep_for(1s);  // the last message of the handshake is under way
    group.cancel();
}

io::Task<Outcome> try_it(RelayWorld& world) {
    Outcome outcome;
    co_await io::with_group(punch_beside, std::ref(world), std::ref(outcome));
    co_return outcome;
}

io::Task<void> meet_through_cones(RelayWorld& world) {
    auto& network = world.hosts().network();
    network.put_behind_nat(HostWorld::ip(kTarget), kTargetRouter, SimNatKind::cone);
    network.put_behind_nat(HostWorld::ip(kSource), kSourceRouter, SimNatKind::cone);
    Outcome outcome = co_await try_it(world);
    REQUIRE(outcome.stream.has_value());
    const Multiaddr& leads = (*outcome.stream)->remote_address();
    CHECK(host_of(leads) == kTargetRouter);
    CHECK(outcome.took < 5s);
    CHECK(world.host(kTarget).is_connected_directly(world.host(kSource).id()));
    // Of the two ends, the one that dialled through the relay is the client.
    for (const PeerInfo& info : world.host(kTarget).peers())
        if (info.peer == world.host(kSource).id()) {
            CHECK(info.is_inbound);
            CHECK(host_of(*info.connected) == kSourceRouter);
        }
    const auto echoed = co_await world.echo(kSource, kTarget, 300'000);
    CHECK(echoed.has_value());
}

TEST_CASE("two hosts behind cone routers dial each other once a relay has joined them") {
    run_relays(3, 1, {}, meet_through_cones);
}

TEST_CASE("they do so over QUIC") {
    run_relays(3, 1, {}, meet_through_cones, kListenQuic);
}

io::Task<void> dial_out_through_router(RelayWorld& world) {
    auto& network = world.hosts().network();
    network.put_behind_nat(HostWorld::ip(kTarget), kTargetRouter, SimNatKind::symmetric);
    Outcome outcome = co_await try_it(world);
    REQUIRE(outcome.stream.has_value());
    CHECK(host_of((*outcome.stream)->remote_address()) == kTargetRouter);
}

TEST_CASE("a host that can be dialled needs no hole") {
    run_relays(3, 1, {}, dial_out_through_router);
    run_relays(3, 1, {}, dial_out_through_router, kListenQuic);
}

io::Task<void> stay_with_relay(RelayWorld& world) {
    auto& network = world.hosts().network();
    network.put_behind_nat(HostWorld::ip(kTarget), kTargetRouter, SimNatKind::symmetric);
    network.put_behind_nat(HostWorld::ip(kSource), kSourceRouter, SimNatKind::symmetric);
    Outcome outcome = co_await try_it(world);
    REQUIRE(!outcome.stream.has_value());
    CHECK(outcome.stream.error().code == Errc::unavailable);
    CHECK(outcome.took > 10s);  // it was tried
    CHECK(outcome.took < 60s);
    const PeerId target = world.host(kTarget).id();
    CHECK(!world.host(kSource).is_connected_directly(target));
    const auto time = co_await world.host(kSource).ping(target);
    CHECK(time.has_value());
    const auto echoed = co_await world.echo(kSource, kTarget, 4096);
    CHECK(echoed.has_value());
}

TEST_CASE("two hosts behind symmetric routers stay with the relay, which goes on to work") {
    run_relays(3, 1, {}, stay_with_relay);
    run_relays(3, 1, {}, stay_with_relay, kListenQuic);
}

TEST_CASE("no stream waits where the other end does not begin") {
    run_relays(3, 1, {}, [](RelayWorld& world) -> io::Task<void> {
        world.host(kTarget).stop_handling(kDcutrProtocol);
        auto& network = world.hosts().network();
        network.put_behind_nat(HostWorld::ip(kTarget), kTargetRouter, SimNatKind::cone);
        network.put_behind_nat(HostWorld::ip(kSource), kSourceRouter, SimNatKind::cone);
        Outcome outcome;
        co_await io::with_group(
            [](io::TaskGroup& group, RelayWorld& seen, Outcome& into) -> io::Task<void> {
                group.spawn(&HolePuncher::run, std::ref(seen.puncher(kSource)));
                co_await connect_and_open(seen, into);
                group.cancel();
            },
            std::ref(world),
            std::ref(outcome));
        REQUIRE(!outcome.stream.has_value());
        CHECK(outcome.stream.error().code == Errc::unavailable);
        CHECK(outcome.took < 7s);
    });
}

io::Task<bool> is_answered(Host& host, PeerId peer, HolePunchMessage message) {
    const OpenOptions over_any{.allows_relayed = true};
    auto stream = co_await host.open(std::move(peer), kDcutrProtocol, over_any);
    if (!stream) co_return false;
    const codec::Buffer framed = encode_hole_punch(message);
    const Bytes bytes(framed);
    const auto written = co_await (*stream)->write(bytes);
    if (!written) co_return false;
    const auto reply = co_await read_length_prefixed(**stream, 4096);
    co_return reply.has_value() && reply->has_value();
}

TEST_CASE("only the one who was reached through a relay may begin, and in turn") {
    run_relays(3, 1, {}, [](RelayWorld& world) -> io::Task<void> {
        const auto place = co_await world.reserve(kTarget, kRelay);
        REQUIRE(place.has_value());
        const auto peer = co_await world.host(kSource).connect(world.circuit(kRelay, kTarget));
        REQUIRE(peer.has_value());
        const HolePunchMessage connect{
            .type = HolePunchType::connect,
            .addresses = {Multiaddr::parse("/ip4/10.0.0.9/tcp/1").value()}};
        const HolePunchMessage sync{.type = HolePunchType::sync, .addresses = {}};
        co_await world.clock().sleep_for(1s);
        const PeerId source = world.host(kSource).id();
        const bool good = co_await is_answered(world.host(kTarget), source, connect);
        CHECK(good);
        const bool out_of_turn = co_await is_answered(world.host(kTarget), source, sync);
        CHECK(!out_of_turn);
        const bool wrong_way = co_await is_answered(world.host(kSource), *peer, connect);
        CHECK(!wrong_way);
        const PeerId relay = world.host(kRelay).id();
        const bool direct = co_await is_answered(world.host(kTarget), relay, connect);
        CHECK(!direct);
    });
}

/// Takes part in every exchange, and dials nobody.
io::Task<void> agree_only(std::unique_ptr<Stream> stream, unsigned& synced) {
    const HolePunchMessage connect{.type = HolePunchType::connect,
                                   .addresses = {Multiaddr::parse("/ip4/10.0.0.9/tcp/1").value()}};
    const codec::Buffer answer = encode_hole_punch(connect);
    const auto theirs = co_await read_length_prefixed(*stream, 4096);
    const Bytes bytes(answer);
    const auto written = co_await stream->write(bytes);
    const auto sync = co_await read_length_prefixed(*stream, 4096);
    if (theirs && written && sync && *sync) ++synced;
    stream->close();
}

io::Task<void> run_target(io::TaskGroup& group, RelayWorld& world, io::Duration time) {
    group.spawn(&HolePuncher::run, std::ref(world.puncher(kTarget)));
    const auto place = co_await world.reserve(kTarget, kRelay);
    REQUIRE(place.has_value());
    const auto peer = co_await world.host(kSource).connect(world.circuit(kRelay, kTarget));
    REQUIRE(peer.has_value());
    co_await world.clock().sleep_for(time);
    group.cancel();
}

TEST_CASE("a hole is tried three times, with a peer that never comes as well") {
    run_relays(3, 1, {}, [](RelayWorld& world) -> io::Task<void> {
        unsigned synced = 0;
        world.host(kSource).handle(kDcutrProtocol, [&synced](std::unique_ptr<Stream> stream) {
            return agree_only(std::move(stream), synced);
        });
        co_await io::with_group(run_target, std::ref(world), io::Duration(100s));
        CHECK(synced == HolePunchLimits().attempts);
    });
}

TEST_CASE("hole-punch messages come back as they were written, without relays' addresses") {
    const Multiaddr direct = Multiaddr::parse("/ip4/192.0.2.1/tcp/4001").value();
    const HolePunchMessage message{
        .type = HolePunchType::connect,
        .addresses = {direct, direct.with_peer(make_identity(1)).with_circuit(), direct, direct}};
    const codec::Buffer framed = encode_hole_punch(message);
    const auto back = decode_hole_punch(Bytes(framed).subspan(1), 2);
    REQUIRE(back.has_value());
    CHECK(back->type == HolePunchType::connect);
    CHECK(back->addresses == std::vector{direct, direct});
    CHECK(decode_hole_punch({}, 2).error().code == Errc::malformed);
    const codec::Buffer sync = encode_hole_punch({.type = HolePunchType::sync, .addresses = {}});
    CHECK(decode_hole_punch(Bytes(sync).subspan(1), 2)->type == HolePunchType::sync);
}

}  // namespace
}  // namespace kwaai::p2p::relay
