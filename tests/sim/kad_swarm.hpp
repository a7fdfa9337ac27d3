// Many nodes of one table on a KadNetwork, and what their lookups find.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/random.hpp"
#include "io/task_group.hpp"
#include "p2p/kad/dht.hpp"
#include "sim/kad_network.hpp"
#include "testing/simulation.hpp"

namespace kwaai::sim {

inline constexpr std::size_t kNearest = 3;  // that a lookup has to find

/// Builds that are slow ask for few simulations, by KWAAI_SIM_SEEDS below 1000: they get a network
/// of each kind, smaller ones.
[[nodiscard]] bool kad_is_slow();

/// How many of the seeds of networks of a hundred nodes are for one kind of trouble: so many
/// percent of KWAAI_KAD_SEEDS (100 where it is not set), but one at least; none where that is 0.
[[nodiscard]] std::uint64_t kad_seeds(std::uint64_t percent);
/// How many seeds of networks of a thousand: KWAAI_KAD_SEEDS_LARGE (2 where it is not set).
[[nodiscard]] std::uint64_t kad_seeds_large();
/// How long nodes that come and go are looked at after all have joined: KWAAI_KAD_MINUTES, or
/// `otherwise`. How long their sessions have lasted by then does not matter: they have no memory.
[[nodiscard]] io::Duration kad_life(std::chrono::minutes otherwise);

/// Lookups that were tried.
struct Lookups {
    std::size_t count = 0;
    std::size_t right = 0;
    std::vector<unsigned> hops;
    std::vector<io::Duration> times;

    void add(const Lookups& more);

    /// "497 of 500 right, 3 hops, 1071 ms (median), 5100 ms (95 %)".
    [[nodiscard]] std::string to_text() const;
    [[nodiscard]] unsigned median_hops() const;

    /// At most one of a hundred failed.
    [[nodiscard]] bool is_good() const { return right * 100 >= count * 99; }
};

/// Takes values that repeat their key.
[[nodiscard]] p2p::kad::DhtOptions kad_options(p2p::kad::Mode mode, std::uint64_t seed);

[[nodiscard]] codec::Buffer kad_value_key(std::size_t number);

class KadSwarm {
public:
    KadSwarm(testing::Simulation& simulation,
             io::TaskGroup& group,
             std::uint64_t seed,
             const KadLink& link);

    [[nodiscard]] KadNetwork& network() { return network_; }

    [[nodiscard]] testing::VirtualClock& clock() { return network_.clock(); }

    [[nodiscard]] CounterRandom& random() { return random_; }

    [[nodiscard]] p2p::kad::Dht& dht(std::size_t index) { return *dhts_[index]; }

    /// A node that lives until the end. Its index.
    std::size_t add(p2p::kad::Mode mode);
    /// It runs, and joins through a random one of those that have; the first one is alone.
    io::Task<void> join(std::size_t index);
    /// A node that comes and goes: it lives for `first`, is away for `away` on average, then lives
    /// for `session` on average.
    void churn(std::size_t index, io::Duration first, io::Duration away, io::Duration session);

    [[nodiscard]] std::vector<std::size_t> joined() const;

    /// Of something that has no memory.
    [[nodiscard]] io::Duration random_time(io::Duration mean);

    /// Has a node that joined look for random keys; right where the kNearest nearest of those who
    /// lived all the while and for whom `counts` is true are among what is found.
    io::Task<void> look(Lookups& into, const std::function<bool(std::size_t)>& counts);

private:
    struct Member {
        bool has_joined = false;
        std::size_t lookups = 0;  // under way: it stays until they end
        p2p::kad::Mode mode = p2p::kad::Mode::server;
    };

    static io::Task<void> run_member(io::TaskGroup& group, KadSwarm& swarm, std::size_t index);
    io::Task<void> come_and_go(std::size_t index,
                               io::Duration first,
                               io::Duration away,
                               io::Duration session);
    void start(std::size_t index);

    KadNetwork network_;
    io::TaskGroup& group_;
    CounterRandom random_;
    std::uint64_t seed_;
    std::vector<std::unique_ptr<p2p::kad::Dht>> dhts_;
    std::vector<Member> members_;
    unsigned last_hops_ = 0;
};

}  // namespace kwaai::sim
