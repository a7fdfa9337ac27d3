// Two QUIC sessions over a simulated network, for tests.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "p2p/muxer/session_world_test.hpp"
#include "p2p/quic/quic_core.hpp"
#include "p2p/quic/quic_endpoint.hpp"
#include "p2p/quic/quic_session.hpp"
#include "testing/sim_network.hpp"

namespace kwaai::p2p::session_world {

// The first packet of a client at `local`.
inline std::vector<std::byte> first_packet(const QuicIdentity& identity,
                                           const io::Endpoint& local,
                                           const io::Endpoint& remote,
                                           const PeerId& expected,
                                           io::TimePoint now) {
    static const Limits limits;
    QuicCoreOptions options;
    options.identity = &identity;
    options.limits = &limits;
    options.local = local;
    options.remote = remote;
    QuicCore client(options, expected, now);
    std::vector<std::byte> space(io::kUdpBatchBytesMax);
    const QuicCore::Batch batch = client.produce(space, now);
    return {batch.bytes.begin(), batch.bytes.end()};
}

// An endpoint on its own host, with an identity.
struct QuicNode {
    QuicNode(testing::Simulation& simulation,
             testing::SimNetwork& network,
             const std::string& ip,
             const Limits& limits)
        : key(crypto::PrivateKey::generate(crypto::KeyType::ed25519).value()) {
        auto socket = network.host(ip).open_udp({.host = ip, .port = 4001});
        REQUIRE(socket);
        endpoint = std::make_shared<QuicEndpoint>(std::move(*socket),
                                                  std::make_shared<const QuicIdentity>(key),
                                                  limits,
                                                  simulation.clock());
    }

    [[nodiscard]] PeerId id() const { return PeerId::of(key.public_key()); }

    crypto::PrivateKey key;
    std::shared_ptr<QuicEndpoint> endpoint;
};

struct QuicWorld {
    QuicWorld(testing::Simulation& its_simulation,
              const Limits& limits,
              const testing::SimLink& link = testing::SimLink(),
              std::uint64_t its_seed = 1)
        : simulation(its_simulation),
          seed(its_seed),
          network(simulation.clock(), {.seed = seed}),
          link_then(link),
          dialer(simulation, network, "10.0.0.1", limits),
          listener(simulation, network, "10.0.0.2", limits) {
        listener.endpoint->set_acceptor([this](const QuicArrival& arrival) {
            if (accepted == nullptr) accepted = listener.endpoint->take(arrival, nullptr);
        });
    }

    testing::Simulation& simulation;
    std::uint64_t seed;
    testing::SimNetwork network;
    testing::SimLink link_then;  // once both have met
    QuicNode dialer;
    QuicNode listener;
    std::unique_ptr<QuicSession> accepted;  // the first that came
};

inline Task<void> shake(QuicSession& session, PeerId expected) {
    const Result<PeerId> peer = co_await session.handshake();
    REQUIRE(peer);
    CHECK(*peer == expected);
}

inline Task<void> answer(QuicWorld& world) {
    while (world.accepted == nullptr)
        co_await world.simulation.clock().sleep_for(std::chrono::milliseconds(1));
    const Result<PeerId> peer = co_await world.accepted->handshake();
    if (peer) CHECK(*peer == world.dialer.id());
}

inline Task<void> shake_both(TaskGroup& group, QuicWorld& world, QuicSession& dialing) {
    group.spawn(answer, std::ref(world));
    co_await shake(dialing, world.listener.id());
    group.cancel();
}

// Two sessions whose handshake is done for the dialler; the listener's ends when they run.
inline Task<std::unique_ptr<Sessions>> meet(QuicWorld& world) {
    auto dialing = world.dialer.endpoint->dial(
        world.listener.endpoint->port().local(), world.listener.id(), nullptr);
    co_await io::with_group(shake_both, std::ref(world), std::ref(*dialing));
    auto sessions = std::make_unique<Sessions>(world.simulation,
                                               std::move(dialing),
                                               std::move(world.accepted),
                                               world.dialer.endpoint->limits().quic_window_initial);
    sessions->seed = world.seed;
    world.network.set_link("10.0.0.1", "10.0.0.2", world.link_then);
    co_return sessions;
}

inline Task<void> run_and_close(Sessions& sessions, Body body) {
    co_await io::with_group(run_body, std::ref(sessions), body);
    CHECK(sessions.dialer_end.has_value());
    CHECK(sessions.listener_end.has_value());
}

inline Task<void> run_quic(TaskGroup& group, QuicWorld& world, Body body, bool is_run) {
    group.spawn(&QuicEndpoint::run, world.dialer.endpoint);
    group.spawn(&QuicEndpoint::run, world.listener.endpoint);
    const std::unique_ptr<Sessions> sessions = co_await meet(world);
    if (is_run)
        co_await run_and_close(*sessions, body);
    else
        co_await body(*sessions);
    world.dialer.endpoint->close();
    world.listener.endpoint->close();
}

// Runs `body` with two sessions; where `is_run` they run beside it and are closed behind it.
inline void with_quic(Body body,
                      bool is_run,
                      const Limits& limits = Limits(),
                      const testing::SimLink& link = testing::SimLink(),
                      std::uint64_t seed = 1) {
    testing::Simulation simulation;
    QuicWorld world(simulation, limits, link, seed);
    simulation.run(io::with_group(run_quic, std::ref(world), body, is_run));
    CHECK(world.dialer.endpoint->id_count() == 0);
    CHECK(world.listener.endpoint->id_count() == 0);
}

inline void with_quic_sessions(Body body, const Limits& limits = Limits()) {
    with_quic(body, true, limits);
}

}  // namespace kwaai::p2p::session_world
