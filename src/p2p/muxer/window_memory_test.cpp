#include "p2p/muxer/window_memory.hpp"

#include <algorithm>
#include <chrono>

#include <doctest/doctest.h>

#include "p2p/host_world_test.hpp"
#include "p2p/muxer/yamux_test.hpp"
#include "p2p/protocol/perf.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;
using namespace yamux_test;

constexpr std::uint32_t kFirstWindow = 256 << 10;
constexpr std::uint64_t kMebibyte = 1 << 20;

TEST_CASE("the largest window of a peer is remembered, up to the limit of one") {
    WindowMemory memory{Limits()};
    const PeerId peer = make_identity(1);
    CHECK(memory.recall(peer) == 0);
    memory.learn(peer, 4 * kFirstWindow);
    memory.learn(peer, 2 * kFirstWindow);
    CHECK(memory.recall(peer) == 4 * kFirstWindow);
    memory.learn(peer, 1 << 30);
    CHECK(memory.recall(peer) == Limits().window_max);
    CHECK(memory.recall(make_identity(2)) == 0);
    CHECK(memory.size() == 1);
}

TEST_CASE("a window that never grew is not remembered") {
    WindowMemory memory{Limits()};
    memory.learn(make_identity(1), kFirstWindow);
    memory.learn(make_identity(2), 0);
    CHECK(memory.size() == 0);
}

TEST_CASE("the peer unused for longest makes room") {
    Limits limits;
    limits.windows_remembered_max = 3;
    WindowMemory memory(limits);
    for (unsigned char number = 0; number < 3; ++number)
        memory.learn(make_identity(number), 2 * kFirstWindow);
    CHECK(memory.recall(make_identity(0)) == 2 * kFirstWindow);
    memory.learn(make_identity(3), 2 * kFirstWindow);
    CHECK(memory.size() == 3);
    CHECK(memory.recall(make_identity(0)) == 2 * kFirstWindow);
    CHECK(memory.recall(make_identity(1)) == 0);
}

TEST_CASE("the first stream of a session begins with a window that was learned before") {
    const Limits limits;
    const io::TimePoint now{1h};
    for (const std::uint32_t learned : {0U, 4 * kFirstWindow, 0xffffffffU}) {
        YamuxState state(YamuxRole::dialer, limits, now, nullptr, learned);
        const std::uint32_t expected = std::clamp(learned, kFirstWindow, limits.window_max);
        CHECK(state.window_learned() == expected);
        YamuxStream& ours = state.open(now);
        state.announce(ours);
        std::vector<std::byte> out;
        state.produce(out, now);
        CHECK(parse(out).front() == update(kSyn, 1, expected - kFirstWindow));
    }
}

struct FullAccount final : MemoryAccount {
    [[nodiscard]] bool reserve(std::size_t) override { return true; }

    void release(std::size_t) override {}

    [[nodiscard]] bool has_room_to_grow() const override { return false; }
};

TEST_CASE("a window that was learned is granted within the bounds of memory") {
    const io::TimePoint now{1h};
    Limits limits;
    limits.window_total_max = 4 * kFirstWindow;
    YamuxState bounded(YamuxRole::dialer, limits, now, nullptr, 16 * kFirstWindow);
    // Each takes half of what is left.
    CHECK(bounded.open(now).window == 3 * kFirstWindow);
    CHECK(bounded.open(now).window == 2 * kFirstWindow);
    FullAccount account;
    YamuxState full(YamuxRole::dialer, limits, now, &account, 16 * kFirstWindow);
    CHECK(full.open(now).window == kFirstWindow);
}

/// Two hosts 100 ms apart whose connections hold megabytes on their way.
struct LongWorld {
    LongWorld() : network(simulation.clock(), {.seed = 1, .queue_bytes_max = 64 * kMebibyte}) {
        for (unsigned char i = 0; i < 2; ++i) {
            const std::string ip = "10.0.0." + std::to_string(i + 1);
            HostOptions options{.identity = make_key(i), .agent = "test"};
            hosts.push_back(
                std::make_unique<Host>(network.host(ip), simulation.clock(), std::move(options)));
            const Multiaddr address = Multiaddr::parse("/ip4/" + ip + "/tcp/4001").value();
            REQUIRE(hosts.back()->listen(address).has_value());
        }
        network.set_link("10.0.0.1", "10.0.0.2", {.latency = 50ms});
    }

    testing::Simulation simulation;
    testing::SimNetwork network;
    std::vector<std::unique_ptr<Host>> hosts;
};

/// How long so many bytes take over a new connection.
io::Task<io::Duration> time_of(LongWorld& world, std::uint64_t up, std::uint64_t down) {
    Host& host = *world.hosts[0];
    const auto peer = co_await host.connect(world.hosts[1]->addresses().front());
    REQUIRE(peer.has_value());
    PerfRequest request{.upload_bytes = up, .download_bytes = down, .on_progress = nullptr};
    const auto took = co_await measure_perf(
        host, world.simulation.clock(), PerfLimits(), *peer, std::move(request));
    REQUIRE(took.has_value());
    host.disconnect(*peer);
    co_await world.simulation.clock().sleep_for(1s);
    CHECK(!host.is_connected(*peer));
    co_return *took;
}

io::Task<void> transfer_again(io::TaskGroup& group, LongWorld& world) {
    const PerfServer server(*world.hosts[1], world.simulation.clock(), PerfLimits());
    for (const auto& host : world.hosts)
        group.spawn(&Host::run, std::ref(*host));
    const io::Duration down_first = co_await time_of(world, 0, 4 * kMebibyte);
    const io::Duration down = co_await time_of(world, 0, 4 * kMebibyte);
    CHECK(down_first >= 500ms);  // five round trips, each with twice the window
    CHECK(down < 300ms);
    const io::Duration up_first = co_await time_of(world, 4 * kMebibyte, 0);
    const io::Duration up = co_await time_of(world, 4 * kMebibyte, 0);
    CHECK(up_first >= 500ms);
    CHECK(up <= up_first - 200ms);
    for (const auto& host : world.hosts)
        host->close();
}

TEST_CASE("a second connection to a peer begins with the windows of the first") {
    LongWorld world;
    world.simulation.run(io::with_group(transfer_again, std::ref(world)));
}

}  // namespace
}  // namespace kwaai::p2p
