// What strangers send to a QUIC port.
#include <array>
#include <chrono>
#include <cstring>
#include <vector>

#include "base/random.hpp"
#include "io/timeout.hpp"
#include "p2p/quic/quic_world_test.hpp"
#include "testing/fixtures.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace kwaai::p2p::session_world;
using namespace std::chrono_literals;

namespace {

using WorldBody = Task<void> (*)(TaskGroup& group, QuicWorld& world);

Task<void> run_ports(TaskGroup& group, QuicWorld& world, WorldBody body) {
    group.spawn(&QuicEndpoint::run, world.dialer.endpoint);
    group.spawn(&QuicEndpoint::run, world.listener.endpoint);
    co_await io::with_group(body, std::ref(world));
    world.dialer.endpoint->close();
    world.listener.endpoint->close();
}

void with_world(WorldBody body) {
    testing::Simulation simulation;
    QuicWorld world(simulation, Limits());
    simulation.run(io::with_group(run_ports, std::ref(world), body));
}

io::Endpoint place_of(const QuicNode& node) {
    return node.endpoint->port().local();
}

// A UDP port on a host of its own, and what has come there.
struct Stranger {
    Stranger(QuicWorld& world, const std::string& ip)
        : udp(world.network.host(ip).open_udp({.host = ip, .port = 4001}).value()) {}

    void send(const QuicNode& node, Bytes packet) const {
        CHECK(udp->send(place_of(node), packet, packet.size()));
    }

    std::unique_ptr<io::UdpSocket> udp;
    std::vector<std::vector<std::byte>> got;
};

Task<void> collect(Stranger& stranger) {
    for (;;) {
        const auto packets = co_await stranger.udp->receive();
        if (!packets) co_return;
        for (const io::Packet& packet : *packets)
            stranger.got.emplace_back(packet.bytes.begin(), packet.bytes.end());
    }
}

Task<void> pester(TaskGroup& group, QuicWorld& world, Sessions& sessions) {
    spawn_both(group, sessions);
    const Ends ends = co_await connect(sessions);
    Stranger stranger(world, "10.0.0.9");
    group.spawn(collect, std::ref(stranger));
    CounterRandom random(testing::seed(1));
    const std::size_t ids = world.listener.endpoint->id_count();
    for (int i = 0; i < 1000; ++i) {
        std::vector<std::byte> packet(1 + random.next() % 1400);
        for (std::byte& byte : packet)
            byte = static_cast<std::byte>(random.next());
        stranger.send(world.listener, packet);
        if (i % 100 == 99) co_await world.simulation.clock().sleep_for(10ms);
    }
    CHECK(stranger.got.size() > 0);
    CHECK(stranger.got.size() <= Limits().quic_answers_per_second);
    CHECK(world.listener.endpoint->id_count() == ids);
    co_await write_text(*ends.dialer, "undisturbed");
    const std::string text = co_await read_text(*ends.listener);
    CHECK(text == "undisturbed");
    stranger.udp->close();
    sessions.dialer.close();
    sessions.listener.close();
    co_await world.simulation.clock().sleep_for(1s);
}

Task<void> meet_and_pester(TaskGroup& /*group*/, QuicWorld& world) {
    const std::unique_ptr<Sessions> sessions = co_await meet(world);
    co_await io::with_group(pester, std::ref(world), std::ref(*sessions));
}

Task<void> serve(QuicSession& session) {
    const Result<PeerId> peer = co_await session.handshake();
    CHECK(peer);
}

Task<void> flood_port(TaskGroup& group, QuicWorld& world) {
    std::vector<std::unique_ptr<QuicSession>> taken;
    QuicEndpoint& port = *world.listener.endpoint;
    const std::size_t most = Limits().quic_unproven_max;
    // The first ones are left alone, as a host leaves them until their time is over.
    port.set_acceptor([&](const QuicArrival& arrival) {
        taken.push_back(port.take(arrival, nullptr));
        if (taken.size() > most) group.spawn(serve, std::ref(*taken.back()));
    });
    std::vector<std::unique_ptr<Stranger>> strangers;
    for (int i = 0; i < 60; ++i) {
        strangers.push_back(std::make_unique<Stranger>(world, "10.0.1." + std::to_string(i + 1)));
        Stranger& stranger = *strangers.back();
        group.spawn(collect, std::ref(stranger));
        const std::vector<std::byte> packet = first_packet(world.dialer.endpoint->identity(),
                                                           place_of(world.dialer),
                                                           place_of(world.listener),
                                                           world.listener.id(),
                                                           world.simulation.clock().now());
        REQUIRE(packet.size() >= 1200);
        stranger.send(world.listener, packet);
        co_await world.simulation.clock().sleep_for(5ms);
        CHECK(stranger.got.size() <= 1);
        if (!stranger.got.empty()) CHECK(stranger.got.front().size() < 200);
    }
    CHECK(taken.size() == most);
    CHECK(strangers.front()->got.empty());
    CHECK(strangers.back()->got.size() == 1);  // is asked to prove its address
    for (const auto& stranger : strangers)
        stranger->udp->close();
    const auto dialing =
        world.dialer.endpoint->dial(place_of(world.listener), world.listener.id(), nullptr);
    const Result<PeerId> peer = co_await dialing->handshake();
    REQUIRE(peer);
    CHECK(*peer == world.listener.id());
    CHECK(taken.size() == most + 1);
    Task<Result<>> running = dialing->run();  // sends the end of its handshake
    co_await io::with_timeout(world.simulation.clock(), 100ms, std::move(running));
    port.set_acceptor(nullptr);
}

Task<void> answer_in_vain(QuicWorld& world) {
    while (world.accepted == nullptr)
        co_await world.simulation.clock().sleep_for(1ms);
    const Result<PeerId> peer = co_await world.accepted->handshake();
    CHECK(!peer);
}

Task<void> expect_another(TaskGroup& group, QuicWorld& world) {
    group.spawn(answer_in_vain, std::ref(world));
    const auto dialing =
        world.dialer.endpoint->dial(place_of(world.listener), world.dialer.id(), nullptr);
    const Result<PeerId> peer = co_await dialing->handshake();
    REQUIRE(!peer);
    CHECK(peer.error().code == Errc::wrong_peer);
}

Task<void> dial_nobody(TaskGroup& /*group*/, QuicWorld& world) {
    io::Endpoint nobody = place_of(world.listener);
    nobody.port = 4999;
    const auto dialing = world.dialer.endpoint->dial(nobody, world.listener.id(), nullptr);
    const io::TimePoint begin = world.simulation.clock().now();
    const Result<PeerId> peer = co_await dialing->handshake();
    REQUIRE(!peer);
    CHECK(peer.error().code == Errc::timed_out);
    CHECK(world.simulation.clock().now() - begin >= Limits().handshake_timeout);
    CHECK(world.simulation.clock().now() - begin <= Limits().handshake_timeout + 1s);
}

// A long header of a version that nobody speaks: its ids are 8 bytes of 1, and 8 of 2.
std::vector<std::byte> of_another_version(std::size_t size) {
    std::vector<std::byte> packet(size);
    const std::array<unsigned char, 6> begin = {0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8};
    std::memcpy(packet.data(), begin.data(), begin.size());
    std::memset(packet.data() + 6, 1, 8);
    packet[14] = std::byte{8};
    std::memset(packet.data() + 15, 2, 8);
    return packet;
}

Task<void> ask_for_version(TaskGroup& group, QuicWorld& world) {
    Stranger stranger(world, "10.0.0.9");
    group.spawn(collect, std::ref(stranger));
    stranger.send(world.listener, of_another_version(1199));
    co_await world.simulation.clock().sleep_for(100ms);
    CHECK(stranger.got.empty());
    stranger.send(world.listener, of_another_version(1200));
    co_await world.simulation.clock().sleep_for(100ms);
    REQUIRE(stranger.got.size() == 1);
    // RFC 9000 section 17.2.1: version 0, the ids the other way round, the versions.
    std::vector<std::byte> expected(23);
    expected[0] = stranger.got[0][0];
    expected[5] = expected[14] = std::byte{8};
    std::memset(expected.data() + 6, 2, 8);
    std::memset(expected.data() + 15, 1, 8);
    for (const int byte : {0, 0, 0, 1})
        expected.push_back(static_cast<std::byte>(byte));
    CHECK(stranger.got[0] == expected);
    CHECK((stranger.got[0][0] & std::byte{0x80}) == std::byte{0x80});
    stranger.udp->close();
    co_await world.simulation.clock().sleep_for(1ms);
}

Task<void> lose_listener(TaskGroup& group, QuicWorld& world) {
    const std::unique_ptr<Sessions> sessions = co_await meet(world);
    io::Clock& clock = world.simulation.clock();
    group.spawn(run, std::ref(sessions->dialer), std::ref(sessions->dialer_end));
    Task<Result<>> serving = sessions->listener.run();
    const Result<> none = co_await io::with_timeout(clock, 1s, std::move(serving));
    CHECK(none.error().code == Errc::timed_out);
    sessions->owned_listener.reset();  // without a word to its peer
    const io::TimePoint begin = clock.now();
    const StreamPtr stream = co_await open(sessions->dialer);
    co_await write_text(*stream, "is anyone there?");
    while (!sessions->dialer_end)
        co_await clock.sleep_for(1ms);
    CHECK(*sessions->dialer_end == Errc::closed);
    CHECK(clock.now() - begin < 1s);
}

}  // namespace

TEST_CASE("rubbish is mostly not answered, and disturbs no QUIC connection") {
    with_world(meet_and_pester);
}

TEST_CASE("beyond some QUIC handshakes clients prove their address first, and then get through") {
    with_world(flood_port);
}

TEST_CASE("a QUIC peer with another id is refused, and learns it") {
    with_world(expect_another);
}

TEST_CASE("where nobody listens a QUIC handshake ends in time") {
    with_world(dial_nobody);
}

TEST_CASE("who asks for another version of QUIC hears which one is spoken") {
    with_world(ask_for_version);
}

TEST_CASE("a QUIC connection that the peer has lost ends at once") {
    with_world(lose_listener);
}
