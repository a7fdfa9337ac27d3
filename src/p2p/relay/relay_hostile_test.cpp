// Peers that ask relays, and relays that answer, what they should not.
#include <doctest/doctest.h>

#include "io/timeout.hpp"
#include "p2p/length_prefixed.hpp"
#include "p2p/relay/relay_world_test.hpp"

namespace kwaai::p2p::relay {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRelay = 0;
constexpr std::size_t kTarget = 1;
constexpr std::size_t kSource = 2;

io::Task<Result<HopMessage>> ask(Host& host, PeerId relay, codec::Buffer request) {
    const OpenOptions over_any{.allows_relayed = true};
    KWAAI_CO_TRY(const std::unique_ptr<Stream> stream,
                 co_await host.open(std::move(relay), kHopProtocol, over_any));
    const Bytes bytes(request);
    KWAAI_CO_CHECKED(co_await stream->write(bytes));
    KWAAI_CO_TRY(const std::optional<codec::Buffer> reply,
                 co_await read_length_prefixed(*stream, 4096));
    if (!reply) co_return fail(Errc::closed, "no answer");
    co_return decode_hop(*reply, 16);
}

codec::Buffer connect_to(const PeerId& peer) {
    return encode_hop({.type = HopType::connect,
                       .peer = peer,
                       .reservation = {},
                       .limit = {},
                       .status = Status::none});
}

codec::Buffer reserve_request() {
    return encode_hop({.type = HopType::reserve,
                       .peer = {},
                       .reservation = {},
                       .limit = {},
                       .status = Status::none});
}

io::Task<Status> status_of(Host& host, PeerId relay, codec::Buffer request) {
    const auto answer = co_await ask(host, std::move(relay), std::move(request));
    co_return answer ? answer->status : Status::none;
}

TEST_CASE("a relay refuses what is malformed, unexpected, without a reservation or to itself") {
    run_relays(3, 1, {}, [](RelayWorld& world) -> io::Task<void> {
        Host& source = world.host(kSource);
        const auto relay = co_await source.connect(world.hosts().address(kRelay));
        REQUIRE(relay.has_value());
        codec::Buffer nothing = connect_to(world.host(kTarget).id());
        auto status = co_await status_of(source, *relay, std::move(nothing));
        CHECK(status == Status::no_reservation);
        codec::Buffer to_relay = connect_to(*relay);
        status = co_await status_of(source, *relay, std::move(to_relay));
        CHECK(status == Status::permission_denied);
        codec::Buffer to_self = connect_to(source.id());
        status = co_await status_of(source, *relay, std::move(to_self));
        CHECK(status == Status::permission_denied);
        codec::Buffer answer = encode_hop({.type = HopType::status,
                                           .peer = {},
                                           .reservation = {},
                                           .limit = {},
                                           .status = Status::ok});
        status = co_await status_of(source, *relay, std::move(answer));
        CHECK(status == Status::unexpected_message);
        codec::Buffer garbage = codec::to_buffer(as_bytes(std::string_view("\x03\xff\xff\xff")));
        status = co_await status_of(source, *relay, std::move(garbage));
        CHECK(status == Status::malformed_message);
        codec::Buffer too_long = codec::to_buffer(as_bytes(std::string_view("\xff\xff\x7f")));
        status = co_await status_of(source, *relay, std::move(too_long));
        CHECK(status == Status::malformed_message);
        CHECK(world.service(kRelay).circuit_count() == 0);
    });
}

TEST_CASE("a relay grants and opens nothing over a connection that is relayed itself") {
    // 0 and 1 are relays, and 1 is reached through 0.
    run_relays(3, 2, {}, [](RelayWorld& world) -> io::Task<void> {
        const auto place = co_await world.reserve(1, 0);
        REQUIRE(place.has_value());
        const auto peer = co_await world.host(kSource).connect(world.circuit(0, 1));
        REQUIRE(peer.has_value());
        codec::Buffer request = reserve_request();
        auto status = co_await status_of(world.host(kSource), *peer, std::move(request));
        CHECK(status == Status::permission_denied);
        codec::Buffer onward = connect_to(world.host(0).id());
        status = co_await status_of(world.host(kSource), *peer, std::move(onward));
        CHECK(status == Status::permission_denied);
        CHECK(world.service(1).reservation_count() == 0);
        // Nor does a client ask for it.
        const auto refused = co_await world.client(kSource).reserve(*peer);
        CHECK(!refused.has_value());
    });
}

TEST_CASE("a request that never comes is waited for so long") {
    RelayLimits limits;
    limits.request_timeout = 5s;
    run_relays(2, 1, limits, [](RelayWorld& world) -> io::Task<void> {
        const auto relay = co_await world.host(1).connect(world.hosts().address(kRelay));
        REQUIRE(relay.has_value());
        const OpenOptions eager{.is_lazy = false};
        auto stream = co_await world.host(1).open(*relay, kHopProtocol, eager);
        REQUIRE(stream.has_value());
        const io::TimePoint begin = world.clock().now();
        const auto reply = co_await read_length_prefixed(**stream, 4096);
        REQUIRE(reply.has_value());
        REQUIRE(reply->has_value());
        CHECK(world.clock().now() - begin < 6s);
        CHECK(decode_hop(**reply, 1)->status == Status::malformed_message);
    });
}

io::Task<void> hold(io::Clock& clock, std::unique_ptr<Stream> stream) {
    co_await clock.sleep_for(1h);
    stream->close();
}

TEST_CASE("a destination that does not answer is given up") {
    RelayLimits limits;
    limits.connect_timeout = 5s;
    run_relays(3, 1, limits, [](RelayWorld& world) -> io::Task<void> {
        const auto place = co_await world.reserve(kTarget, kRelay);
        REQUIRE(place.has_value());
        world.host(kTarget).handle(kStopProtocol, [&world](std::unique_ptr<Stream> stream) {
            return hold(world.clock(), std::move(stream));
        });
        const auto peer = co_await world.host(kSource).connect(world.circuit(kRelay, kTarget));
        REQUIRE(!peer.has_value());
        CHECK(peer.error().context.find("connection failed") != std::string::npos);
        CHECK(world.service(kRelay).circuit_count() == 0);
    });
}

TEST_CASE("circuits that nobody reserved for, or that claim another peer, are not taken") {
    run_relays(3, 1, {}, [](RelayWorld& world) -> io::Task<void> {
        const Host& target = world.host(kTarget);
        const auto peer = co_await world.host(kRelay).connect(world.hosts().address(kTarget));
        REQUIRE(peer.has_value());
        auto stream = co_await world.host(kRelay).open(*peer, kStopProtocol);
        REQUIRE(stream.has_value());
        const codec::Buffer request = encode_stop({.type = StopType::connect,
                                                   .peer = world.host(kSource).id(),
                                                   .limit = {},
                                                   .status = Status::none});
        const Bytes bytes(request);
        const auto written = co_await (*stream)->write(bytes);
        REQUIRE(written.has_value());
        const auto reply = co_await read_length_prefixed(**stream, 4096);
        REQUIRE(reply.has_value());
        REQUIRE(reply->has_value());
        CHECK(decode_stop(**reply)->status == Status::permission_denied);
        CHECK(!target.is_connected(world.host(kSource).id()));
        // With a reservation the relay itself shakes hands, in the name of another one.
        const auto place = co_await world.reserve(kTarget, kRelay);
        REQUIRE(place.has_value());
        auto second = co_await world.host(kRelay).open(*peer, kStopProtocol);
        REQUIRE(second.has_value());
        const auto again = co_await (*second)->write(bytes);
        REQUIRE(again.has_value());
        const auto accepted = co_await read_length_prefixed(**second, 4096);
        REQUIRE(accepted.has_value());
        REQUIRE(accepted->has_value());
        CHECK(decode_stop(**accepted)->status == Status::ok);
        Circuit circuit{.stream = std::move(*second), .limit = {}};
        const Multiaddr place_of_target = world.circuit(kRelay, kTarget);
        const auto adopted =
            co_await world.host(kRelay).adopt(std::move(circuit), place_of_target, true);
        static_cast<void>(adopted);  // the target has all it needs only afterwards
        co_await world.clock().sleep_for(1s);
        CHECK(!target.is_connected(world.host(kSource).id()));
        for (const PeerInfo& info : target.peers())
            CHECK(!info.connected->is_relayed());
    });
}

io::Task<void> accept_and_hold(io::Clock& clock, std::unique_ptr<Stream> stream) {
    const auto request = co_await read_length_prefixed(*stream, 4096);
    CHECK(request.has_value());
    const codec::Buffer answer =
        encode_stop({.type = StopType::status, .peer = {}, .limit = {}, .status = Status::ok});
    const Bytes bytes(answer);
    const auto written = co_await stream->write(bytes);
    CHECK(written.has_value());
    co_await clock.sleep_for(1h);
}

// What a stream takes until it takes nothing for a while, at most `most`.
io::Task<std::size_t> fill(Stream& stream, io::Clock& clock, std::size_t most) {
    const std::vector<std::byte> chunk(16 << 10);
    std::size_t count = 0;
    while (count < most) {
        const Bytes bytes(chunk);
        auto writing = stream.write(bytes);
        const auto written = co_await io::with_timeout(clock, 5s, std::move(writing));
        if (!written) break;
        count += chunk.size();
    }
    co_return count;
}

TEST_CASE("a destination that does not read stops the source, and the relay holds a buffer") {
    RelayLimits limits;
    limits.circuit.reset();
    run_relays(3, 1, limits, [](RelayWorld& world) -> io::Task<void> {
        const auto place = co_await world.reserve(kTarget, kRelay);
        REQUIRE(place.has_value());
        world.host(kTarget).handle(kStopProtocol, [&world](std::unique_ptr<Stream> stream) {
            return accept_and_hold(world.clock(), std::move(stream));
        });
        Host& source = world.host(kSource);
        const auto relay = co_await source.connect(world.hosts().address(kRelay));
        REQUIRE(relay.has_value());
        auto stream = co_await source.open(*relay, kHopProtocol);
        REQUIRE(stream.has_value());
        const codec::Buffer request = connect_to(world.host(kTarget).id());
        const Bytes bytes(request);
        const auto written = co_await (*stream)->write(bytes);
        REQUIRE(written.has_value());
        const auto reply = co_await read_length_prefixed(**stream, 4096);
        REQUIRE(reply.has_value());
        REQUIRE(reply->has_value());
        CHECK(decode_hop(**reply, 1)->status == Status::ok);
        // One initial window of 256 KiB to the relay and one from there, and little more.
        const std::size_t taken = co_await fill(**stream, world.clock(), 16 << 20);
        CHECK(taken >= 256 << 10);
        CHECK(taken <= 640 << 10);
    });
}

TEST_CASE("who floods a relay with requests is not answered") {
    RelayLimits limits;
    limits.requests_of_peer_per_minute = 10;
    run_relays(2, 1, limits, [](RelayWorld& world) -> io::Task<void> {
        const auto relay = co_await world.host(1).connect(world.hosts().address(kRelay));
        REQUIRE(relay.has_value());
        std::size_t answered = 0;
        for (int i = 0; i < 50; ++i) {
            codec::Buffer request = reserve_request();
            const auto status = co_await status_of(world.host(1), *relay, std::move(request));
            answered += status == Status::ok ? 1 : 0;
        }
        CHECK(answered == 10);
        co_await world.clock().sleep_for(1min);
        codec::Buffer request = reserve_request();
        const auto status = co_await status_of(world.host(1), *relay, std::move(request));
        CHECK(status == Status::ok);
    });
}

}  // namespace
}  // namespace kwaai::p2p::relay
