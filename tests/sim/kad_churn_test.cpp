// Nodes of the table that come and go, and a table that falls apart.
#include <cmath>

#include <doctest/doctest.h>

#include "sim/kad_swarm.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::sim {
namespace {

using namespace std::chrono_literals;

constexpr io::Duration kMedianSession = 1h;
constexpr io::Duration kJoinEvery = 100ms;
constexpr double kDeadShare = 0.2;
// Long enough for each table to be refreshed once, and for every eighth node to go. A refresh costs
// more than all else together: by default most small networks, and large ones, are left before it.
constexpr std::chrono::minutes kLife{11};
constexpr std::chrono::minutes kLifeShort{3};
constexpr std::uint64_t kLongOnes = 8;  // one in so many
constexpr KadLink kLossy{.loss = 0.1};

struct Plan {
    std::uint64_t seed = 1;
    std::size_t nodes = 0;  // alive at a time
    std::size_t lookups = 0;
    io::Duration time{};       // over which they are spread, after the nodes have joined
    io::Duration long_time{};  // of some seeds; none: as the others
};

struct Outcome {
    Lookups lookups;
    std::uint64_t trace = 0;
};

io::Task<void> live(io::TaskGroup& group,
                    testing::Simulation& simulation,
                    Plan plan,
                    Outcome& outcome) {
    KadSwarm swarm(simulation, group, plan.seed, kLossy);
    const auto mean = std::chrono::duration_cast<io::Duration>(kMedianSession / std::log(2.0));
    const auto away =
        std::chrono::duration_cast<io::Duration>(mean * (kDeadShare / (1 - kDeadShare)));
    const auto total = static_cast<std::size_t>(static_cast<double>(plan.nodes) / (1 - kDeadShare));
    for (std::size_t i = 0; i < total; ++i) {
        const std::size_t index = swarm.add(p2p::kad::Mode::server);
        // Those that are dead to begin with have joined before: the tables of the others hold them.
        const bool dies = i > 0 && swarm.random().next_unit() < kDeadShare;
        const io::Duration joining = kJoinEvery * static_cast<std::int64_t>(total - i);
        const io::Duration first = dies ? joining : swarm.random_time(mean);
        swarm.churn(index, first, away, mean);
        co_await swarm.clock().sleep_for(kJoinEvery);
    }
    const auto all = [](std::size_t) {
        return true;
    };
    for (std::size_t i = 0; i < plan.lookups; ++i) {
        co_await swarm.clock().sleep_for(plan.time / plan.lookups);
        co_await swarm.look(outcome.lookups, all);
    }
    outcome.trace = swarm.network().trace_hash();
    group.cancel();
    // What the nodes answer ends before their network does.
    while (group.size() > 0)
        co_await testing::let_others_run();
}

Outcome run(const Plan& plan) {
    testing::Simulation simulation;
    Outcome outcome;
    simulation.run(io::with_group(live, std::ref(simulation), plan, std::ref(outcome)));
    return outcome;
}

// Of all seeds together: a hundred lookups are too few to tell one of a hundred.
void check(std::uint64_t seeds, Plan plan) {
    const std::uint64_t first = testing::seed(1);
    Lookups all;
    for (plan.seed = first; plan.seed < first + seeds; ++plan.seed) {
        Plan one = plan;
        if (plan.long_time > io::Duration{} && plan.seed % kLongOnes == 1)
            one.time = plan.long_time;
        const Outcome outcome = run(one);
        const std::string text = outcome.lookups.to_text();
        MESSAGE("seed " << plan.seed << ", " << plan.nodes << " nodes: " << text);
        CHECK(outcome.lookups.median_hops() <= 4);
        all.add(outcome.lookups);
    }
    const std::string text = all.to_text();
    MESSAGE(seeds << " seeds of " << plan.nodes << " nodes: " << text);
    CHECK(all.is_good());
}

TEST_CASE("a hundred nodes that come and go, a fifth of them dead, find who is nearest") {
    if (kad_is_slow()) return check(1, {.nodes = 40, .lookups = 60, .time = 5min});
    check(
        kad_seeds(87),
        {.nodes = 100, .lookups = 100, .time = kad_life(kLifeShort), .long_time = kad_life(kLife)});
}

TEST_CASE("a thousand nodes that come and go, a fifth of them dead, find who is nearest") {
    if (kad_seeds_large() == 0) {
        MESSAGE("skipped: no seeds of large networks were asked for");
        return;
    }
    check(kad_seeds_large(), {.nodes = 1000, .lookups = 500, .time = kad_life(kLifeShort)});
}

TEST_CASE("a seed gives the same run again") {
    const Plan plan{.seed = testing::seed(7), .nodes = 20, .lookups = 10, .time = 20min};
    const Outcome one = run(plan);
    const Outcome other = run(plan);
    CHECK(one.trace == other.trace);
    CHECK(one.lookups.times == other.lookups.times);
    Plan another = plan;
    ++another.seed;
    CHECK(run(another).trace != one.trace);
}

}  // namespace
}  // namespace kwaai::sim
