// Lookups meet many peers; they do not keep their connections.
#include <algorithm>
#include <array>
#include <string>

#include <doctest/doctest.h>

#include "p2p/kad/dht_world_test.hpp"

namespace kwaai::p2p::kad {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kNodes = 55;
constexpr std::size_t kServer = 54;
constexpr const char* kSession = "/session/1.0.0";

Limits bounded() {
    Limits limits;
    limits.connections_low = 30;
    limits.connections_high = 40;
    return limits;
}

io::Task<void> serve_session(std::unique_ptr<Stream> stream) {
    std::array<std::byte, 64> bytes{};
    while (true) {
        const auto count = co_await stream->read_some(bytes);
        if (!count || *count == 0) co_return;
    }
}

// Handshakes under way and peers that are being told goodbye count, too.
constexpr std::size_t kUnderWayMax = 12;

io::Task<void> look_up_often(DhtWorld& world) {
    const Limits limits = bounded();
    Host& host = world.hosts().host(1);
    world.hosts().host(kServer).handle(kSession, serve_session);
    host.add_address(world.hosts().host(kServer).id(), world.hosts().address(kServer));
    auto session = co_await host.open(world.hosts().host(kServer).id(), kSession);
    REQUIRE(session.has_value());
    std::size_t ended = 0;
    const auto lease = host.observe([&](const PeerInfo& info, ConnectionChange change) {
        const bool is_session = info.peer == world.hosts().host(kServer).id();
        if (is_session && change == ConnectionChange::closed) ++ended;
    });
    std::size_t most = 0;
    for (int i = 0; i < 30; ++i) {
        const codec::Buffer key = provider_key("key " + std::to_string(i));
        const auto found = co_await world.dht(1).find_closest(key);
        REQUIRE(found.has_value());
        most = std::max(most, host.resources().connections());
        co_await world.hosts().clock().sleep_for(1s);
    }
    CHECK(most > limits.connections_low);
    CHECK(most <= limits.connections_high + kUnderWayMax);
    CHECK(ended == 0);
    const std::array<std::byte, 1> byte{};
    const Bytes bytes(byte);
    const Result<> written = co_await (*session)->write(bytes);
    CHECK(written.has_value());
}

TEST_CASE("a node that looks up thirty keys stays below its high mark and keeps its session") {
    run_dhts(
        kNodes,
        bounded(),
        [](std::size_t) { return make_dht_options(); },
        [](DhtWorld& world) -> io::Task<void> {
            co_await world.join();
            co_await look_up_often(world);
        });
}

}  // namespace
}  // namespace kwaai::p2p::kad
