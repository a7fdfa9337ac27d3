#include "sim/kad_swarm.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <string>
#include <utility>

#include "io/timeout.hpp"

namespace kwaai::sim {
namespace {

using namespace std::chrono_literals;
using p2p::kad::Dht;
using p2p::kad::Distance;
using p2p::kad::KadKey;

constexpr std::string_view kPrefix = "/sim/";
constexpr int kJoinsMax = 5;

class Repeated final : public p2p::kad::Validator {
public:
    [[nodiscard]] Result<> validate(Bytes key, Bytes value) const override {
        if (std::ranges::equal(key, value)) return {};
        return fail(Errc::malformed, "the value does not repeat its key");
    }

    [[nodiscard]] std::size_t select(Bytes /*key*/,
                                     std::span<const Bytes> /*values*/) const override {
        return 0;
    }
};

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

bool kad_is_slow() {
    return number_of("KWAAI_SIM_SEEDS", 1000) < 1000;
}

std::uint64_t kad_seeds(std::uint64_t percent) {
    if (kad_is_slow()) return 1;
    const std::uint64_t all = number_of("KWAAI_KAD_SEEDS", 100);
    return all == 0 ? 0 : std::max<std::uint64_t>(all * percent / 100, 1);
}

std::uint64_t kad_seeds_large() {
    return kad_is_slow() ? 0 : number_of("KWAAI_KAD_SEEDS_LARGE", 2);
}

io::Duration kad_life(std::chrono::minutes otherwise) {
    const auto count = static_cast<std::uint64_t>(otherwise.count());
    return std::chrono::minutes(number_of("KWAAI_KAD_MINUTES", count));
}

void Lookups::add(const Lookups& more) {
    count += more.count;
    right += more.right;
    hops.insert(hops.end(), more.hops.begin(), more.hops.end());
    times.insert(times.end(), more.times.begin(), more.times.end());
}

unsigned Lookups::median_hops() const {
    std::vector<unsigned> sorted = hops;
    std::ranges::sort(sorted);
    return sorted.empty() ? 0 : sorted[sorted.size() / 2];
}

std::string Lookups::to_text() const {
    std::vector<io::Duration> sorted = times;
    std::ranges::sort(sorted);
    const auto millis = [&](std::size_t percent) {
        const io::Duration time =
            sorted.empty() ? io::Duration{} : sorted[sorted.size() * percent / 100];
        return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    };
    return std::to_string(right) + " of " + std::to_string(count) + " right, " +
           std::to_string(median_hops()) + " hops, " + millis(50) + " ms (median), " + millis(95) +
           " ms (95 %)";
}

p2p::kad::DhtOptions kad_options(p2p::kad::Mode mode, std::uint64_t seed) {
    p2p::kad::DhtOptions options{.mode = mode, .seed = seed};
    options.validators.set("sim", std::make_shared<Repeated>());
    return options;
}

codec::Buffer kad_value_key(std::size_t number) {
    return codec::to_buffer(as_bytes(std::string(kPrefix) + std::to_string(number)));
}

KadSwarm::KadSwarm(testing::Simulation& simulation,
                   io::TaskGroup& group,
                   std::uint64_t seed,
                   const KadLink& link)
    : network_(simulation.clock(), group, seed, link),
      group_(group),
      random_(seed + 1),
      seed_(seed) {}

std::size_t KadSwarm::add(p2p::kad::Mode mode) {
    const std::size_t index = network_.add().index();
    dhts_.emplace_back();
    members_.push_back({.mode = mode});
    return index;
}

void KadSwarm::start(std::size_t index) {
    p2p::kad::DhtOptions options = kad_options(
        members_[index].mode, seed_ * 100'000 + index * 100 + network_.node(index).life());
    options.on_lookup = [this](const p2p::kad::LookupReport& report) {
        last_hops_ = report.hops;
    };
    dhts_[index] = std::make_unique<Dht>(network_.node(index), clock(), std::move(options));
}

std::vector<std::size_t> KadSwarm::joined() const {
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < members_.size(); ++i)
        if (members_[i].has_joined) all.push_back(i);
    return all;
}

// Until cancelled; joins first.
io::Task<void> KadSwarm::run_member(io::TaskGroup& group, KadSwarm& swarm, std::size_t index) {
    Dht& dht = *swarm.dhts_[index];
    group.spawn(&Dht::run, std::ref(dht));
    for (int i = 0; i < kJoinsMax; ++i) {
        const std::vector<std::size_t> others = swarm.joined();
        if (others.empty()) break;
        const std::size_t first = others[swarm.random_.next() % others.size()];
        std::vector<p2p::Multiaddr> addresses = swarm.network_.node(first).addresses();
        const auto count = co_await dht.bootstrap(std::move(addresses));
        if (count) break;
    }
    swarm.members_[index].has_joined = true;
}

io::Task<void> KadSwarm::join(std::size_t index) {
    start(index);
    group_.spawn(&Dht::run, std::ref(*dhts_[index]));
    const std::vector<std::size_t> others = joined();
    if (!others.empty()) {
        const std::size_t first = others[random_.next() % others.size()];
        std::vector<p2p::Multiaddr> addresses = network_.node(first).addresses();
        const auto count = co_await dhts_[index]->bootstrap(std::move(addresses));
        static_cast<void>(count);  // others may still find it
    }
    members_[index].has_joined = members_[index].mode == p2p::kad::Mode::server;
}

io::Duration KadSwarm::random_time(io::Duration mean) {
    return std::chrono::duration_cast<io::Duration>(mean * -std::log(1 - random_.next_unit()));
}

void KadSwarm::churn(std::size_t index,
                     io::Duration first,
                     io::Duration away,
                     io::Duration session) {
    group_.spawn(&KadSwarm::come_and_go, std::ref(*this), index, first, away, session);
}

io::Task<void> KadSwarm::come_and_go(std::size_t index,
                                     io::Duration first,
                                     io::Duration away,
                                     io::Duration session) {
    KadNode& node = network_.node(index);
    for (io::Duration length = first;; length = random_time(session)) {
        node.rise();
        start(index);
        auto living = io::with_group(&KadSwarm::run_member, std::ref(*this), index);
        const bool is_over = co_await io::finishes_within(clock(), length, std::move(living));
        static_cast<void>(is_over);
        while (members_[index].lookups > 0)
            co_await clock().sleep_for(1s);
        members_[index].has_joined = false;
        node.die();
        dhts_[index].reset();
        const io::Duration pause = random_time(away);
        co_await clock().sleep_for(pause);
    }
}

io::Task<void> KadSwarm::look(Lookups& into, const std::function<bool(std::size_t)>& counts) {
    std::vector<std::size_t> askers = joined();
    std::erase_if(askers, [&](std::size_t index) { return !counts(index); });
    const std::size_t asker = askers[random_.next() % askers.size()];
    codec::Buffer key = p2p::kad::provider_key("key " + std::to_string(random_.next()));
    const KadKey target = KadKey::of(Bytes(key));
    ++members_[asker].lookups;
    const io::TimePoint begin = clock().now();
    const auto found = co_await dhts_[asker]->find_closest(std::move(key));
    --members_[asker].lookups;
    into.hops.push_back(last_hops_);
    into.times.push_back(clock().now() - begin);
    ++into.count;
    if (!found) co_return;
    std::vector<std::pair<Distance, std::size_t>> living;
    for (const std::size_t index : askers)
        if (index != asker && members_[index].has_joined)
            living.emplace_back(Distance::between(target, KadKey::of(network_.node(index).id())),
                                index);
    std::ranges::sort(living);
    std::size_t hits = 0;
    for (std::size_t i = 0; i < std::min(kNearest, living.size()); ++i)
        for (const p2p::kad::PeerAddresses& peer : *found)
            if (peer.peer == network_.node(living[i].second).id()) ++hits;
    if (hits == std::min(kNearest, living.size())) ++into.right;
}

}  // namespace kwaai::sim
