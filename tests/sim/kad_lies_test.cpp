// A fifth of the nodes lies, together: honest ones find what they look for all the same.
#include <algorithm>
#include <array>
#include <string>

#include <doctest/doctest.h>

#include "codec/multihash.hpp"
#include "p2p/kad/kad_wire.hpp"
#include "p2p/length_prefixed.hpp"
#include "sim/kad_swarm.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::sim {
namespace {

using namespace std::chrono_literals;
using namespace p2p::kad;

constexpr std::size_t kNodes = 100;
constexpr std::size_t kLiars = 20;  // the last ones of the nodes, their ids as random as all
constexpr std::size_t kKeys = 10;
constexpr std::size_t kRounds = 50;     // of a lookup of each kind
constexpr std::size_t kRoundsFew = 25;  // the same in builds that are slow
constexpr std::size_t kTold = 20;
constexpr std::size_t kGround = 100;  // ids that a liar tries to come near a key
constexpr std::size_t kBoastBytes = 400 << 10;

enum class Lie : std::uint8_t {
    invents,   // peers that do not exist, nearer to the key than anybody, at its own address
    eclipses,  // only its accomplices exist; honest peers are said to be where they are not
    misleads,  // its accomplices and inventions provide everything, and values are false
    boasts,    // answers are longer than anybody takes, every other time
};

/// What a liar knows; all liars share it.
struct Plot {
    KadNetwork& network;
    std::vector<std::size_t> liars;
    CounterRandom random;
};

WirePeer at(const KadNode& node) {
    return {.peer = node.id(), .addresses = {node.address()}};
}

std::vector<WirePeer> accomplices(const Plot& plot, const KadKey& target) {
    std::vector<std::pair<Distance, std::size_t>> sorted;
    for (const std::size_t liar : plot.liars)
        sorted.emplace_back(Distance::between(target, KadKey::of(plot.network.node(liar).id())),
                            liar);
    std::ranges::sort(sorted);
    std::vector<WirePeer> all;
    for (const auto& [distance, liar] : sorted)
        all.push_back(at(plot.network.node(liar)));
    return all;
}

std::vector<WirePeer> inventions(Plot& plot, const KadKey& target, const p2p::Multiaddr& place) {
    std::vector<std::pair<Distance, codec::Buffer>> tried;
    for (std::size_t i = 0; i < kGround; ++i) {
        std::array<std::byte, 32> digest{};
        for (std::byte& byte : digest)
            byte = static_cast<std::byte>(plot.random.next());
        codec::Buffer id = codec::make_multihash(codec::HashCode::sha2_256, digest);
        const KadKey point = KadKey::of(Bytes(id));
        tried.emplace_back(Distance::between(target, point), std::move(id));
    }
    std::ranges::sort(tried);
    std::vector<WirePeer> all;
    for (std::size_t i = 0; i < kTold; ++i)
        all.push_back(
            {.peer = p2p::PeerId::from_bytes(tried[i].second).value(), .addresses = {place}});
    return all;
}

Message lie_to(Plot& plot, Lie lie, const Message& request, const KadNode& self) {
    Message reply{.type = request.type, .key = request.key};
    const KadKey target = KadKey::of(Bytes(request.key));
    reply.closer =
        lie == Lie::invents ? inventions(plot, target, self.address()) : accomplices(plot, target);
    if (lie == Lie::eclipses)
        for (std::size_t i = 0; i < kTold; ++i)
            reply.closer.push_back(
                {.peer = plot.network.node(plot.random.next() % (kNodes - kLiars)).id(),
                 .addresses = {self.address()}});
    if (lie != Lie::misleads) return reply;
    reply.record =
        WireRecord{.key = request.key, .value = codec::to_buffer(as_bytes("a false value"))};
    if (request.type != MessageType::get_providers) return reply;
    reply.providers = inventions(plot, target, self.address());
    for (WirePeer& accomplice : accomplices(plot, target))
        reply.providers.push_back(std::move(accomplice));
    return reply;
}

io::Task<void> answer_falsely(Plot& plot,
                              Lie lie,
                              std::size_t index,
                              std::unique_ptr<p2p::Stream> stream) {
    const auto asked = co_await p2p::read_length_prefixed(*stream, 64 << 10);
    if (!asked || !*asked) co_return;
    const auto request = decode_message(**asked, {});
    if (!request || request->type == MessageType::add_provider) co_return;
    codec::Buffer framed;
    if (lie == Lie::boasts && plot.random.next() % 2 == 0) {
        framed.assign(kBoastBytes, std::byte{0xff});
        framed[4] = std::byte{1};  // a length of gigabytes
    } else {
        framed = encode_message(lie_to(plot, lie, *request, plot.network.node(index)), {});
    }
    const Bytes bytes(framed);
    const Result<> written = co_await stream->write(bytes);
    if (written) stream->close();
}

struct Outcome {
    Lookups peers;
    std::size_t rounds = 0;
    std::size_t values = 0;      // found in them
    std::size_t providers = 0;   // the same
    std::size_t distracted = 0;  // inventions and liars that were given as providers

    void add(const Outcome& more) {
        peers.add(more.peers);
        rounds += more.rounds;
        values += more.values;
        providers += more.providers;
        distracted += more.distracted;
    }

    [[nodiscard]] std::string to_text() const {
        return peers.to_text() + "; " + std::to_string(values) + " values and " +
               std::to_string(providers) + " providers of " + std::to_string(rounds) + ", " +
               std::to_string(distracted) + " false ones";
    }
};

bool is_honest(std::size_t index) {
    return index < kNodes - kLiars;
}

void corrupt(Plot& plot, std::size_t index) {
    constexpr std::array kLies{Lie::invents, Lie::eclipses, Lie::misleads, Lie::boasts};
    const Lie lie = kLies[index % kLies.size()];
    plot.liars.push_back(index);
    plot.network.node(index).handle(kKadProtocol,
                                    [&plot, lie, index](std::unique_ptr<p2p::Stream> stream) {
                                        return answer_falsely(plot, lie, index, std::move(stream));
                                    });
}

io::Task<void> look_for_all(KadSwarm& swarm, std::size_t rounds, Outcome& outcome) {
    for (std::size_t i = 0; i < kKeys; ++i) {
        const codec::Buffer key = kad_value_key(i);
        const auto put = co_await swarm.dht(i).put(key, key);
        CHECK(put.has_value());
        const auto told = co_await swarm.dht(i).provide(provider_key("offer " + std::to_string(i)));
        CHECK(told.has_value());
    }
    for (std::size_t round = 0; round < rounds; ++round) {
        ++outcome.rounds;
        co_await swarm.look(outcome.peers, is_honest);
        const std::size_t asker = kKeys + round % (kNodes - kLiars - kKeys);
        const std::size_t number = round % kKeys;
        const codec::Buffer key = kad_value_key(number);
        const auto value = co_await swarm.dht(asker).get(key);
        if (value && *value == key) ++outcome.values;
        const auto found = co_await swarm.dht(asker).find_providers(
            provider_key("offer " + std::to_string(number)), 200);
        if (!found) continue;
        const auto is_it = [&](const PeerAddresses& one) {
            return one.peer == swarm.network().node(number).id();
        };
        if (std::ranges::any_of(*found, is_it)) ++outcome.providers;
        outcome.distracted += found->size() - 1;
    }
}

io::Task<void> live(io::TaskGroup& group,
                    testing::Simulation& simulation,
                    std::uint64_t seed,
                    std::size_t rounds,
                    Outcome& outcome) {
    KadSwarm swarm(simulation, group, seed, {});
    Plot plot{.network = swarm.network(), .liars = {}, .random = CounterRandom(seed + 2)};
    for (std::size_t i = 0; i < kNodes; ++i)
        swarm.add(is_honest(i) ? Mode::server : Mode::client);
    // In turn, so that liars are there from the beginning.
    for (std::size_t i = 0; i < kNodes; ++i) {
        const std::size_t index = i * 81 % kNodes;
        if (!is_honest(index)) corrupt(plot, index);
        co_await swarm.join(index);
    }
    co_await swarm.clock().sleep_for(15min);
    co_await look_for_all(swarm, rounds, outcome);
    group.cancel();
    while (group.size() > 0)
        co_await testing::let_others_run();
}

Outcome run(std::uint64_t seed, std::size_t rounds) {
    testing::Simulation simulation;
    Outcome outcome;
    simulation.run(io::with_group(live, std::ref(simulation), seed, rounds, std::ref(outcome)));
    return outcome;
}

// CVE-2023-26248: the liars name each other, and peers invented near the key.
TEST_CASE("a fifth of the nodes that lie together make one lookup in a hundred fail at most") {
    const std::uint64_t first = testing::seed(1);
    const std::uint64_t seeds = kad_seeds(10);
    if (seeds == 0) return;
    Outcome all;
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        const Outcome one = run(seed, kad_is_slow() ? kRoundsFew : kRounds);
        const std::string text = one.to_text();
        MESSAGE("seed " << seed << ", liars: " << text);
        all.add(one);
    }
    const std::string text = all.to_text();
    MESSAGE(seeds << " seeds with liars: " << text);
    CHECK(all.peers.is_good());
    CHECK(all.values * 100 >= all.rounds * 99);
    CHECK(all.providers * 100 >= all.rounds * 99);
}

}  // namespace
}  // namespace kwaai::sim
