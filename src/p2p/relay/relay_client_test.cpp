// What a client of relays believes them, and for how long it waits.
#include <limits>

#include <doctest/doctest.h>

#include "p2p/length_prefixed.hpp"
#include "p2p/relay/relay_world_test.hpp"

namespace kwaai::p2p::relay {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRelay = 0;
constexpr std::size_t kClient = 1;

/// Answers every request with the same message.
io::Task<void> answer_always(std::unique_ptr<Stream> stream, codec::Buffer answer) {
    const auto request = co_await read_length_prefixed(*stream, 4096);
    static_cast<void>(request);
    const Bytes bytes(answer);
    const auto written = co_await stream->write(bytes);
    if (written) stream->close();
}

HopMessage granting(std::uint64_t expires) {
    HopMessage message{.type = HopType::status,
                       .peer = {},
                       .reservation = WireReservation{},
                       .limit = {},
                       .status = Status::ok};
    message.reservation->expires = expires;
    return message;
}

/// What a reservation is at a relay that answers so.
io::Task<Result<Reservation>> reserve_at(RelayWorld& world, HopMessage message) {
    const codec::Buffer answer = encode_hop(message);
    world.host(kRelay).handle(kHopProtocol, [answer](std::unique_ptr<Stream> stream) {
        return answer_always(std::move(stream), answer);
    });
    auto place = co_await world.reserve(kClient, kRelay);
    co_return place;
}

// The class of CVE-2026-33040 and CVE-2026-34219 (times that a peer chooses overflow).
TEST_CASE("no reservation is believed to last for ever, nor to be over at once") {
    run_relays(2, 0, {}, [](RelayWorld& world) -> io::Task<void> {
        const RelayClientLimits limits;
        HopMessage endless = granting(std::numeric_limits<std::uint64_t>::max());
        const auto longest = co_await reserve_at(world, std::move(endless));
        REQUIRE(longest.has_value());
        CHECK(longest->lifetime == limits.reservation_max);
        HopMessage past = granting(1);
        const auto shortest = co_await reserve_at(world, std::move(past));
        REQUIRE(shortest.has_value());
        CHECK(shortest->lifetime == limits.reservation_min);
        // Without an address of its own the relay is where it was dialled.
        CHECK(shortest->addresses ==
              std::vector<Multiaddr>{world.hosts().address(kRelay).with_circuit()});
    });
}

TEST_CASE("a relay's addresses are its own, and reach as far as it does") {
    run_relays(2, 0, {}, [](RelayWorld& world) -> io::Task<void> {
        const PeerId relay = world.host(kRelay).id();
        const auto address = [](const char* text) {
            return Multiaddr::parse(text).value();
        };
        const Multiaddr good = address("/ip4/10.0.0.77/tcp/1");
        HopMessage message = granting(kEpoch + 3600);
        message.reservation->addresses = {
            address("/ip4/10.0.0.78/tcp/1").with_peer(make_identity(9)),  // of another peer
            address("/ip4/127.0.0.1/tcp/1").with_peer(relay),             // of this machine
            good,
            good.with_peer(relay).with_circuit()};  // as some write it
        const auto place = co_await reserve_at(world, std::move(message));
        REQUIRE(place.has_value());
        const Multiaddr expected = good.with_peer(relay).with_circuit();
        CHECK(place->addresses == std::vector{expected, expected});
    });
}

TEST_CASE("answers that grant nothing, refuse, or hold somebody else's voucher are errors") {
    run_relays(2, 0, {}, [](RelayWorld& world) -> io::Task<void> {
        HopMessage empty = granting(kEpoch + 3600);
        empty.reservation.reset();
        const auto nothing = co_await reserve_at(world, std::move(empty));
        REQUIRE(!nothing.has_value());
        CHECK(nothing.error().code == Errc::malformed);
        HopMessage refusal = granting(kEpoch + 3600);
        refusal.status = Status::reservation_refused;
        const auto refused = co_await reserve_at(world, std::move(refusal));
        REQUIRE(!refused.has_value());
        CHECK(refused.error().code == Errc::unavailable);
        CHECK(refused.error().context.find("reservation refused") != std::string::npos);
        HopMessage question = granting(kEpoch + 3600);
        question.type = HopType::reserve;
        const auto asked = co_await reserve_at(world, std::move(question));
        REQUIRE(!asked.has_value());
        CHECK(asked.error().code == Errc::malformed);
        HopMessage foreign = granting(kEpoch + 3600);
        foreign.reservation->voucher = seal_voucher(
            make_key(kRelay),
            {.relay = make_identity(kRelay), .peer = make_identity(9), .expires = kEpoch + 3600});
        const auto other = co_await reserve_at(world, std::move(foreign));
        REQUIRE(!other.has_value());
        CHECK(other.error().code == Errc::malformed);
    });
}

io::Task<void> hold(io::Clock& clock, std::unique_ptr<Stream> stream) {
    co_await clock.sleep_for(1h);
    stream->close();
}

TEST_CASE("a relay that does not answer is given up") {
    run_relays(3, 0, {}, [](RelayWorld& world) -> io::Task<void> {
        world.host(kRelay).handle(kHopProtocol, [&world](std::unique_ptr<Stream> stream) {
            return hold(world.clock(), std::move(stream));
        });
        const io::TimePoint begin = world.clock().now();
        const auto place = co_await world.reserve(kClient, kRelay);
        REQUIRE(!place.has_value());
        CHECK(place.error().code == Errc::timed_out);
        CHECK(world.clock().now() - begin < 11s);
        const auto dialled = co_await world.host(kClient).connect(world.circuit(kRelay, 2));
        REQUIRE(!dialled.has_value());
        CHECK(world.clock().now() - begin < 22s);
    });
}

TEST_CASE("addresses that lead over two relays, over ourselves or to the relay are not dialled") {
    run_relays(2, 1, {}, [](RelayWorld& world) -> io::Task<void> {
        Host& client = world.host(kClient);
        const Multiaddr relay = world.hosts().address(kRelay);
        const Multiaddr twice = relay.with_circuit()
                                    .with_peer(make_identity(8))
                                    .with_circuit()
                                    .with_peer(make_identity(9));
        const Multiaddr over_us =
            world.hosts().address(kClient).with_circuit().with_peer(make_identity(9));
        const Multiaddr to_relay = world.circuit(kRelay, kRelay);
        for (const Multiaddr& address : {twice, over_us, to_relay}) {
            const auto dialled = co_await client.connect_again(address);
            REQUIRE(!dialled.has_value());
            CHECK(dialled.error().code == Errc::invalid_argument);
        }
    });
}

TEST_CASE("a relay is dialled once more for a hole, unless no port that listens leads to it") {
    run_relays(2, 1, {}, [](RelayWorld& world) -> io::Task<void> {
        std::size_t dialled = 0;
        const auto lease = world.host(kClient).observe(
            [&dialled](const PeerInfo& /*info*/, ConnectionChange change) {
                if (change == ConnectionChange::opened) ++dialled;
            });
        // The client listens over TCP alone.
        const std::string quic = "/ip4/" + HostWorld::ip(kRelay) + kListenQuic;
        REQUIRE(world.host(kRelay).listen(Multiaddr::parse(quic).value()).has_value());
        const Multiaddr place = Multiaddr::parse(quic).value().with_peer(world.host(kRelay).id());
        for (int i = 0; i < 3; ++i) {
            const auto reached = co_await world.client(kClient).reach(place);
            REQUIRE(reached.has_value());
        }
        CHECK(dialled == 1);
        const auto apart = Multiaddr::parse("/ip4/" + HostWorld::ip(kClient) + kListenQuic);
        REQUIRE(world.host(kClient).listen(*apart).has_value());
        for (int i = 0; i < 3; ++i) {
            const auto reached = co_await world.client(kClient).reach(place);
            REQUIRE(reached.has_value());
        }
        CHECK(dialled == 2);
    });
}

TEST_CASE("only so many circuits to us shake hands at a time") {
    run_relays(2, 1, {}, [](RelayWorld& world) -> io::Task<void> {
        const auto place = co_await world.reserve(kClient, kRelay);
        REQUIRE(place.has_value());
        const RelayClientLimits limits;
        const codec::Buffer request = encode_stop({.type = StopType::connect,
                                                   .peer = make_identity(9),
                                                   .limit = {},
                                                   .status = Status::none});
        const Bytes bytes(request);
        std::vector<std::unique_ptr<Stream>> streams;
        std::size_t taken = 0;
        for (std::size_t i = 0; i < limits.incoming_max + 3; ++i) {
            auto stream = co_await world.host(kRelay).open(world.host(kClient).id(), kStopProtocol);
            REQUIRE(stream.has_value());
            const auto written = co_await (*stream)->write(bytes);
            REQUIRE(written.has_value());
            const auto reply = co_await read_length_prefixed(**stream, 4096);
            taken += reply && *reply ? 1 : 0;
            streams.push_back(std::move(*stream));
        }
        CHECK(taken == limits.incoming_max);
        // Those that do not go on are let go after a while, and others have their turn.
        co_await world.clock().sleep_for(30s);
        auto stream = co_await world.host(kRelay).open(world.host(kClient).id(), kStopProtocol);
        REQUIRE(stream.has_value());
        const auto written = co_await (*stream)->write(bytes);
        REQUIRE(written.has_value());
        const auto reply = co_await read_length_prefixed(**stream, 4096);
        CHECK((reply && *reply));
    });
}

}  // namespace
}  // namespace kwaai::p2p::relay
