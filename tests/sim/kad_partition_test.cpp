// A table that falls apart, and grows together again.
#include <cstdint>
#include <functional>
#include <vector>

#include <doctest/doctest.h>

#include "sim/kad_swarm.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::sim {
namespace {

using namespace std::chrono_literals;
using p2p::kad::Mode;

// Whom no lookup meets is probed after half an hour of silence, and leaves when that fails twice.
constexpr io::Duration kApart = 60min;
constexpr io::Duration kTogether = 25min;
constexpr std::size_t kLookups = 100;

struct Plan {
    std::uint64_t seed = 1;
    std::size_t nodes = 0;
};

void check_apart(KadSwarm& swarm, const std::vector<bool>& is_left) {
    for (std::size_t i = 0; i < is_left.size(); ++i)
        for (const p2p::PeerId& peer : swarm.dht(i).peers()) {
            const KadNode* const other = swarm.network().find(peer);
            REQUIRE(other != nullptr);
            CHECK(is_left[i] == is_left[other->index()]);
        }
}

io::Task<void> part_and_meet(io::TaskGroup& group,
                             testing::Simulation& simulation,
                             Plan plan,
                             Lookups& together) {
    KadSwarm swarm(simulation, group, plan.seed, {});
    std::vector<bool> is_left(plan.nodes);
    for (std::size_t i = 0; i < plan.nodes; ++i) {
        is_left[i] = swarm.random().next() % 2 == 0;
        swarm.add(Mode::server);
        co_await swarm.join(i);
    }
    swarm.network().partition(is_left);
    co_await swarm.clock().sleep_for(kApart);
    check_apart(swarm, is_left);
    swarm.network().heal();
    co_await swarm.clock().sleep_for(kTogether);
    const auto all = [](std::size_t) {
        return true;
    };
    for (std::size_t i = 0; i < kLookups; ++i)
        co_await swarm.look(together, all);
    group.cancel();
    while (group.size() > 0)
        co_await testing::let_others_run();
}

TEST_CASE("a table that fell apart until its halves forgot each other grows together again") {
    const std::uint64_t first = testing::seed(1);
    const std::uint64_t seeds = kad_seeds(3);
    if (seeds == 0) return;
    Lookups all;
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        const Plan plan{.seed = seed, .nodes = kad_is_slow() ? 40U : 100U};
        testing::Simulation simulation;
        Lookups together;
        simulation.run(
            io::with_group(part_and_meet, std::ref(simulation), plan, std::ref(together)));
        const std::string text = together.to_text();
        MESSAGE("seed " << seed << ", apart and together: " << text);
        all.add(together);
    }
    CHECK(all.is_good());
}

}  // namespace
}  // namespace kwaai::sim
