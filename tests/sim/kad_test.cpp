// A hundred table nodes that come and go over a network that loses: lookups find who is there.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/random.hpp"
#include "io/task_group.hpp"
#include "p2p/host.hpp"
#include "p2p/kad/dht.hpp"
#include "testing/fixtures.hpp"
#include "testing/sim_network.hpp"
#include "testing/simulation.hpp"

namespace kwaai::sim {
namespace {

using namespace std::chrono_literals;
using p2p::kad::Dht;

constexpr std::size_t kNodes = 100;
constexpr std::size_t kDead = 20;
constexpr std::size_t kLookups = 100;
constexpr std::size_t kNearest = 3;

struct Outcome {
    std::size_t right = 0;
    std::vector<io::Duration> times;
};

class Table {
public:
    explicit Table(std::uint64_t seed)
        : network_(simulation_.clock(),
                   {.seed = seed, .link = {.latency = 40ms, .jitter = 20ms, .loss = 0.1}}),
          random_(seed) {
        for (std::size_t i = 0; i < kNodes; ++i) {
            std::array<std::byte, 32> key{};
            key[0] = static_cast<std::byte>(i);
            key[1] = static_cast<std::byte>(seed);
            auto counter = std::make_shared<CounterRandom>(seed * 1000 + i);
            const auto fill = [counter](MutableBytes into) {
                for (std::byte& byte : into)
                    byte = static_cast<std::byte>(counter->next());
            };
            hosts_.push_back(std::make_unique<p2p::Host>(
                network_.host(ip(i)),
                simulation_.clock(),
                p2p::HostOptions{.identity = crypto::PrivateKey::ed25519_from_seed(key),
                                 .random = fill}));
            const auto listening =
                hosts_[i]->listen(p2p::Multiaddr::parse("/ip4/" + ip(i) + "/tcp/4001").value());
            REQUIRE(listening.has_value());
            dhts_.push_back(std::make_unique<Dht>(
                *hosts_[i],
                simulation_.clock(),
                p2p::kad::DhtOptions{.mode = p2p::kad::Mode::server, .seed = seed + i}));
        }
    }

    Outcome run() {
        simulation_.run(io::with_group(&Table::live, std::ref(*this)));
        return outcome_;
    }

private:
    static std::string ip(std::size_t index) { return "10.0.0." + std::to_string(index + 1); }

    static io::Task<void> live(io::TaskGroup& group, Table& table) {
        for (std::size_t i = 0; i < kNodes; ++i) {
            group.spawn(&p2p::Host::run, std::ref(*table.hosts_[i]));
            group.spawn(&Dht::run, std::ref(*table.dhts_[i]));
        }
        co_await table.join();
        co_await table.leave_and_look();
        group.cancel();
    }

    io::Task<void> join() {
        for (std::size_t i = 1; i < kNodes; ++i) {
            std::vector<p2p::Multiaddr> first{hosts_[random_.next() % i]->addresses().front()};
            const auto count = co_await dhts_[i]->bootstrap(std::move(first));
            if (!count) FAIL_CHECK(count.error().context);
        }
    }

    // Between the lookups nodes die without a word and come back, a fifth of them being dead.
    io::Task<void> leave_and_look() {
        while (dead_.size() < kDead)
            kill(random_.next() % kNodes);
        for (std::size_t i = 0; i < kLookups; ++i) {
            if (i % 5 == 4) {
                revive(*dead_.begin());
                while (dead_.size() < kDead)
                    kill(random_.next() % kNodes);
            }
            std::size_t asker = random_.next() % kNodes;
            while (dead_.contains(asker))
                asker = (asker + 1) % kNodes;
            co_await look(asker, p2p::kad::provider_key("key " + std::to_string(i)));
        }
        while (!dead_.empty())
            revive(*dead_.begin());
    }

    void kill(std::size_t index) {
        dead_.insert(index);
        network_.freeze(ip(index));
    }

    void revive(std::size_t index) {
        dead_.erase(index);
        network_.thaw(ip(index));
    }

    io::Task<void> look(std::size_t asker, codec::Buffer key) {
        std::map<p2p::kad::Distance, p2p::PeerId> living;
        const p2p::kad::KadKey target = p2p::kad::KadKey::of(Bytes(key));
        for (std::size_t i = 0; i < kNodes; ++i) {
            const p2p::PeerId& peer = hosts_[i]->id();
            const p2p::kad::KadKey point = p2p::kad::KadKey::of(peer);
            if (i != asker && !dead_.contains(i))
                living.emplace(p2p::kad::Distance::between(target, point), peer);
        }
        const io::TimePoint begin = simulation_.clock().now();
        const auto found = co_await dhts_[asker]->find_closest(std::move(key));
        outcome_.times.push_back(simulation_.clock().now() - begin);
        if (!found) co_return;
        std::size_t count = 0;
        auto expected = living.begin();
        for (std::size_t i = 0; i < kNearest; ++i, ++expected)
            for (const p2p::kad::PeerAddresses& peer : *found)
                if (peer.peer == expected->second) ++count;
        if (count == kNearest) ++outcome_.right;
    }

    testing::Simulation simulation_;
    testing::SimNetwork network_;
    CounterRandom random_;
    std::vector<std::unique_ptr<p2p::Host>> hosts_;
    std::vector<std::unique_ptr<Dht>> dhts_;
    std::set<std::size_t> dead_;
    Outcome outcome_;
};

// A seed takes as long as a thousand of the other simulations.
std::uint64_t seed_count() {
    const char* const text = std::getenv("KWAAI_SIM_SEEDS");
    return text == nullptr ? 1 : std::strtoull(text, nullptr, 10) / 1000;
}

TEST_CASE("a hundred table nodes of which a fifth is dead find the three nearest that live") {
    if (seed_count() == 0) {
        MESSAGE("skipped: so few seeds are for small networks");
        return;
    }
    const std::uint64_t first = testing::seed(1);
    for (std::uint64_t seed = first; seed < first + seed_count(); ++seed) {
        CAPTURE(seed);
        Table table(seed);
        Outcome outcome = table.run();
        std::ranges::sort(outcome.times);
        const auto millis = [&](std::size_t percent) {
            return std::chrono::duration_cast<std::chrono::milliseconds>(
                       outcome.times[outcome.times.size() * percent / 100])
                .count();
        };
        MESSAGE("seed " << seed << ": " << outcome.right << " of " << kLookups << " right, median "
                        << millis(50) << " ms, 95 % " << millis(95) << " ms");
        CHECK(outcome.right * 100 >= kLookups * 99);
    }
}

}  // namespace
}  // namespace kwaai::sim
