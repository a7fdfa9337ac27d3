// Hosts on a simulated network, for tests.
#pragma once
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "io/task_group.hpp"
#include "p2p/host.hpp"
#include "testing/sim_network.hpp"
#include "testing/simulation.hpp"

namespace kwaai::p2p {

inline crypto::PrivateKey make_key(unsigned char number) {
    std::array<std::byte, 32> seed{};
    seed[0] = std::byte{number};
    return crypto::PrivateKey::ed25519_from_seed(seed);
}

inline PeerId make_identity(unsigned char number) {
    return PeerId::of(make_key(number).public_key());
}

inline constexpr std::uint64_t kRecordSequence = 5000;

/// Changes what host `index` is made of.
using Adapt = std::function<void(std::size_t index, HostOptions& options)>;

/// Where hosts listen, behind their IP.
inline constexpr const char* kListenTcp = "/tcp/4001";
inline constexpr const char* kListenQuic = "/udp/4001/quic-v1";

/// Host i is at 10.0.0.(i+1), listens on port 4001 and calls itself "test-i".
class HostWorld {
public:
    HostWorld(testing::Simulation& simulation,
              const std::vector<crypto::PrivateKey>& keys,
              const Limits& limits,
              const Adapt& adapt = nullptr,
              const std::string& listens = kListenTcp)
        : simulation_(simulation), network_(simulation.clock(), {.seed = 1}) {
        for (std::size_t i = 0; i < keys.size(); ++i) {
            auto counter = std::make_shared<CounterRandom>(1000 + i);
            const auto random = [counter](MutableBytes into) {
                for (std::byte& byte : into)
                    byte = static_cast<std::byte>(counter->next());
            };
            HostOptions options{.identity = keys[i],
                                .agent = "test-" + std::to_string(i),
                                .limits = limits,
                                .record_sequence = kRecordSequence,
                                .random = random};
            if (adapt) adapt(i, options);
            hosts_.push_back(
                std::make_unique<Host>(network_.host(ip(i)), clock(), std::move(options)));
            const auto listening =
                hosts_.back()->listen(Multiaddr::parse("/ip4/" + ip(i) + listens).value());
            if (!listening) throw std::runtime_error(listening.error().context);
        }
    }

    static std::string ip(std::size_t index) { return "10.0.0." + std::to_string(index + 1); }

    [[nodiscard]] Host& host(std::size_t index) { return *hosts_[index]; }

    [[nodiscard]] std::size_t size() const { return hosts_.size(); }

    [[nodiscard]] Multiaddr address(std::size_t index) {
        return hosts_[index]->addresses().front();
    }

    [[nodiscard]] testing::SimNetwork& network() { return network_; }

    [[nodiscard]] io::Clock& clock() { return simulation_.clock(); }

    /// One way, between the first two.
    void set_latency(io::Duration latency) {
        network_.set_link(ip(0), ip(1), {.latency = latency});
    }

    io::Task<Result<std::unique_ptr<io::Stream>>> dial_raw(std::size_t from, std::size_t to) {
        io::Address address{.host = ip(to), .port = 4001};
        auto stream = co_await network_.host(ip(from)).connect(std::move(address));
        co_return stream;
    }

private:
    testing::Simulation& simulation_;
    testing::SimNetwork network_;
    std::vector<std::unique_ptr<Host>> hosts_;
};

namespace detail {

template <class Fn>
io::Task<void> run_body(io::TaskGroup& group, HostWorld& world, Fn fn) {
    for (std::size_t i = 0; i < world.size(); ++i)
        group.spawn(&Host::run, std::ref(world.host(i)));
    co_await fn(world);
    for (std::size_t i = 0; i < world.size(); ++i)
        world.host(i).close();
}

}  // namespace detail

/// Runs `fn(world)`, a coroutine, beside the hosts of these keys, and closes them.
template <class Fn>
void run_hosts(const std::vector<crypto::PrivateKey>& keys, const Limits& limits, Fn fn) {
    testing::Simulation simulation;
    HostWorld world(simulation, keys, limits);
    simulation.run(io::with_group(&detail::run_body<Fn>, std::ref(world), std::move(fn)));
}

template <class Fn>
void run_hosts(unsigned char count, const Limits& limits, Fn fn) {
    std::vector<crypto::PrivateKey> keys;
    for (unsigned char i = 0; i < count; ++i)
        keys.push_back(make_key(i));
    run_hosts(keys, limits, std::move(fn));
}

template <class Fn>
void run_hosts(unsigned char count, Fn fn) {
    run_hosts(count, Limits(), std::move(fn));
}

/// A handler: what comes goes back, to the end.
inline io::Task<void> echo(std::unique_ptr<Stream> stream) {
    std::vector<std::byte> buffer(64 << 10);
    while (true) {
        const auto count = co_await stream->read_some(buffer);
        if (!count || *count == 0) break;
        const Bytes bytes = std::span(buffer).first(*count);
        const Result<> written = co_await stream->write(bytes);
        if (!written) co_return;
    }
    const Result<> ended = co_await stream->shutdown_write();
    static_cast<void>(ended);
    stream->close();
}

}  // namespace kwaai::p2p
