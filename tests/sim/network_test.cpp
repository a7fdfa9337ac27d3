// Fifty hosts that send to each other while the network and the hosts fail: every stream ends,
// nothing is left behind, and a seed gives the same run.
#include <array>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/random.hpp"
#include "io/read_exactly.hpp"
#include "io/task_group.hpp"
#include "io/timeout.hpp"
#include "p2p/host.hpp"
#include "testing/fixtures.hpp"
#include "testing/sim_network.hpp"
#include "testing/simulation.hpp"

namespace kwaai::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kHosts = 50;
constexpr int kSendsOfHost = 12;
constexpr std::size_t kBytesMax = 20000;
constexpr const char* kEcho = "/echo/1.0.0";

struct Tally {
    std::size_t begun = 0;
    std::size_t echoed = 0;
    std::size_t failed = 0;
    std::size_t wrong = 0;  // another echo than what was sent

    bool operator==(const Tally&) const = default;
};

io::Task<void> echo(std::unique_ptr<p2p::Stream> stream) {
    std::array<std::byte, 4096> buffer{};
    while (true) {
        const auto count = co_await stream->read_some(buffer);
        if (!count || *count == 0) break;
        const Bytes bytes = std::span(buffer).first(*count);
        const Result<> written = co_await stream->write(bytes);
        if (!written) break;
    }
    stream->close();
}

class Crowd {
public:
    explicit Crowd(std::uint64_t seed)
        : network_(simulation_.clock(),
                   {.seed = seed,
                    .link = {.latency = 5ms,
                             .jitter = 20ms,
                             .bytes_per_second = 1 << 20,
                             .loss = 0.01}}),
          random_(seed) {
        for (std::size_t i = 0; i < kHosts; ++i) {
            std::array<std::byte, 32> key{};
            key[0] = static_cast<std::byte>(i);
            key[1] = static_cast<std::byte>(seed);
            auto counter = std::make_shared<CounterRandom>(seed * 100 + i);
            const auto fill = [counter](MutableBytes into) {
                for (std::byte& byte : into)
                    byte = static_cast<std::byte>(counter->next());
            };
            hosts_.push_back(std::make_unique<p2p::Host>(
                network_.host(ip(i)),
                simulation_.clock(),
                p2p::HostOptions{.identity = crypto::PrivateKey::ed25519_from_seed(key),
                                 .random = fill}));
            hosts_[i]->handle(kEcho, echo);
            const auto listening = hosts_[i]->listen(address_of(i));
            REQUIRE(listening.has_value());
        }
    }

    void run() { simulation_.run(io::with_group(&Crowd::live, std::ref(*this))); }

    Tally tally;

    [[nodiscard]] const testing::SimNetwork& network() const { return network_; }

private:
    static std::string ip(std::size_t index) { return "10.0.0." + std::to_string(index + 1); }

    static p2p::Multiaddr address_of(std::size_t index) {
        return p2p::Multiaddr::parse("/ip4/" + ip(index) + "/tcp/4001").value();
    }

    static io::Task<void> live(io::TaskGroup& group, Crowd& crowd) {
        for (const auto& host : crowd.hosts_)
            group.spawn(&p2p::Host::run, std::ref(*host));
        co_await io::with_group(&Crowd::send_and_disturb, std::ref(crowd));
        for (const auto& host : crowd.hosts_)
            host->close();
    }

    static io::Task<void> send_and_disturb(io::TaskGroup& group, Crowd& crowd) {
        for (std::size_t i = 0; i < kHosts; ++i)
            group.spawn(&Crowd::send_many, std::ref(crowd), i, crowd.random_.next());
        group.spawn(&Crowd::disturb, std::ref(crowd));
        co_return;
    }

    io::Task<void> send_many(std::size_t from, std::uint64_t seed) {
        CounterRandom random(seed);
        for (int i = 0; i < kSendsOfHost; ++i) {
            co_await simulation_.clock().sleep_for(std::chrono::milliseconds(random.next() % 3000));
            const std::size_t to = (from + 1 + random.next() % (kHosts - 1)) % kHosts;
            std::vector<std::byte> bytes(1 + random.next() % kBytesMax);
            for (std::size_t at = 0; at < bytes.size(); at += 7)
                bytes[at] = static_cast<std::byte>(random.next());
            ++tally.begun;
            auto sending = send(from, to, std::move(bytes));
            // Far more than any limit of a host: what takes longer hangs.
            const Result<> sent =
                co_await io::with_timeout(simulation_.clock(), 10min, std::move(sending));
            if (sent)
                ++tally.echoed;
            else if (sent.error().context == "another echo")
                ++tally.wrong;
            else
                ++tally.failed;
            if (!sent) CHECK(sent.error().context != io::timeout_error(10min).context);
        }
    }

    io::Task<Result<>> send(std::size_t from, std::size_t to, std::vector<std::byte> bytes) {
        p2p::Host& host = *hosts_[from];
        host.add_address(hosts_[to]->id(), hosts_[to]->addresses().front());
        KWAAI_CO_TRY(const std::unique_ptr<p2p::Stream> stream,
                     co_await host.open(hosts_[to]->id(), kEcho));
        const Bytes sent(bytes);
        KWAAI_CO_CHECKED(co_await stream->write(sent));
        std::vector<std::byte> back(bytes.size());
        KWAAI_CO_CHECKED(co_await io::read_exactly(*stream, back));
        if (back != bytes) co_return fail(Errc::malformed, "another echo");
        stream->close();
        co_return Result<>();
    }

    io::Task<void> disturb() {
        for (int round = 0; round < 12; ++round) {
            co_await simulation_.clock().sleep_for(
                std::chrono::milliseconds(random_.next() % 2500));
            const std::size_t victim = random_.next() % kHosts;
            const std::string one = ip(victim);
            const std::string other = ip(random_.next() % kHosts);
            switch (random_.next() % 6) {
                case 0: network_.reset(one, other); break;
                case 1: network_.freeze(one); break;
                case 2: network_.partition({one, other}, {ip(1), ip(2), ip(3), ip(4)}); break;
                case 3: network_.set_garbage(one, other, true); break;
                case 4: {
                    network_.crash(one);
                    const auto again = hosts_[victim]->listen(address_of(victim));
                    CHECK(again.has_value());
                    break;
                }
                default:
                    network_.heal_all();
                    for (std::size_t i = 0; i < kHosts; ++i)
                        network_.thaw(ip(i));
            }
        }
        network_.heal_all();
        for (std::size_t i = 0; i < kHosts; ++i)
            network_.thaw(ip(i));
    }

    testing::Simulation simulation_;
    testing::SimNetwork network_;
    CounterRandom random_;
    std::vector<std::unique_ptr<p2p::Host>> hosts_;
};

TEST_CASE(
    "fifty hosts: no stream hangs, no echo is wrong, no connection is left, and a seed replays") {
    const std::uint64_t first = testing::seed(1);
    for (std::uint64_t seed = first; seed < first + 3; ++seed) {
        CAPTURE(seed);
        std::array<std::uint64_t, 2> traces{};
        std::array<Tally, 2> tallies;
        for (std::size_t run = 0; run < 2; ++run) {
            Crowd crowd(seed);
            crowd.run();
            CHECK(crowd.tally.begun == kHosts * kSendsOfHost);
            CHECK(crowd.tally.wrong == 0);
            CHECK(crowd.tally.echoed > crowd.tally.begun / 2);
            CHECK(crowd.network().connection_count() == 0);
            traces[run] = crowd.network().trace_hash();
            tallies[run] = crowd.tally;
        }
        CHECK(traces[0] == traces[1]);
        CHECK(tallies[0] == tallies[1]);
        MESSAGE("seed " << seed << ": " << tallies[0].echoed << " echoed, " << tallies[0].failed
                        << " failed");
    }
}

}  // namespace
}  // namespace kwaai::sim
