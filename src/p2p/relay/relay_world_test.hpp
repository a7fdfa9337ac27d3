// Hosts of which some are relays and some use them, on a simulated network, for tests.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/read_exactly.hpp"
#include "p2p/host_world_test.hpp"
#include "p2p/relay/auto_relay.hpp"
#include "p2p/relay/hole_puncher.hpp"
#include "p2p/relay/relay_client.hpp"
#include "p2p/relay/relay_service.hpp"

namespace kwaai::p2p::relay {

inline constexpr const char* kEcho = "/echo/1.0.0";

inline io::Task<void> serve_echo(std::unique_ptr<Stream> stream) {
    std::vector<std::byte> buffer(4096);
    const MutableBytes space(buffer);
    while (true) {
        const auto count = co_await stream->read_some(space);
        if (!count || *count == 0) break;
        const Bytes got(space.first(*count));
        const auto written = co_await stream->write(got);
        if (!written) break;
    }
    stream->close();
}

/// Seconds since 1970 where the virtual clock begins.
inline constexpr std::uint64_t kEpoch = 1'700'000'000;

/// Every host is a client of relays, and echoes; the first `relay_count` are relays.
class RelayWorld {
public:
    RelayWorld(testing::Simulation& simulation,
               const std::vector<crypto::PrivateKey>& keys,
               std::size_t relay_count,
               const RelayLimits& limits,
               const std::string& listens)
        : hosts_(simulation, keys, Limits(), nullptr, listens), begin_(simulation.clock().now()) {
        const auto seconds = [this] {
            const auto passed = hosts_.clock().now() - begin_;
            return kEpoch + static_cast<std::uint64_t>(
                                std::chrono::duration_cast<std::chrono::seconds>(passed).count());
        };
        for (std::size_t i = 0; i < keys.size(); ++i) {
            host(i).handle(kEcho, serve_echo);
            clients_.push_back(std::make_unique<RelayClient>(
                host(i), clock(), RelayClientOptions{.limits = {}, .unix_seconds = seconds}));
            punchers_.push_back(
                std::make_unique<HolePuncher>(host(i), clock(), HolePuncherOptions()));
            if (i >= relay_count) continue;
            services_.push_back(std::make_unique<RelayService>(
                host(i), clock(), RelayServiceOptions{.limits = limits, .unix_seconds = seconds}));
        }
    }

    [[nodiscard]] HostWorld& hosts() { return hosts_; }

    [[nodiscard]] Host& host(std::size_t index) { return hosts_.host(index); }

    [[nodiscard]] io::Clock& clock() { return hosts_.clock(); }

    [[nodiscard]] RelayClient& client(std::size_t index) { return *clients_[index]; }

    /// Which begins nothing until it runs.
    [[nodiscard]] HolePuncher& puncher(std::size_t index) { return *punchers_[index]; }

    [[nodiscard]] RelayService& service(std::size_t index) { return *services_[index]; }

    /// Where `target` is reached by way of `relay`.
    [[nodiscard]] Multiaddr circuit(std::size_t relay, std::size_t target) {
        return hosts_.address(relay).with_circuit().with_peer(host(target).id());
    }

    /// Connects to the relay and reserves there.
    io::Task<Result<Reservation>> reserve(std::size_t who, std::size_t relay) {
        KWAAI_CO_TRY(PeerId id, co_await client(who).reach(hosts_.address(relay)));
        auto place = co_await client(who).reserve(std::move(id));
        co_return place;
    }

    /// Sends zeros to the echo of a peer and reads as many back.
    io::Task<Result<>> echo(std::size_t from, std::size_t to, std::size_t size) {
        const OpenOptions over_any{.allows_relayed = true};
        KWAAI_CO_TRY(const std::unique_ptr<Stream> stream,
                     co_await host(from).open(host(to).id(), kEcho, over_any));
        const std::vector<std::byte> sent(std::min<std::size_t>(size, 1024));
        std::vector<std::byte> back(sent.size());
        for (std::size_t done = 0; done < size; done += sent.size()) {
            const Bytes out(sent);
            const MutableBytes in(back);
            KWAAI_CO_CHECKED(co_await stream->write(out));
            KWAAI_CO_CHECKED(co_await io::read_exactly(*stream, in));
        }
        stream->close();
        co_return Result<>();
    }

private:
    HostWorld hosts_;
    io::TimePoint begin_;
    std::vector<std::unique_ptr<RelayClient>> clients_;
    std::vector<std::unique_ptr<HolePuncher>> punchers_;
    std::vector<std::unique_ptr<RelayService>> services_;
};

namespace detail {

template <class Fn>
io::Task<void> run_relay_body(io::TaskGroup& group, RelayWorld& world, Fn fn) {
    HostWorld& hosts = world.hosts();
    for (std::size_t i = 0; i < hosts.size(); ++i)
        group.spawn(&Host::run, std::ref(hosts.host(i)));
    co_await fn(world);
    for (std::size_t i = 0; i < hosts.size(); ++i)
        hosts.host(i).close();
}

}  // namespace detail

/// Runs `fn(world)`, a coroutine, beside `count` hosts, of which the first `relays` are relays.
template <class Fn>
void run_relays(unsigned char count,
                std::size_t relays,
                const RelayLimits& limits,
                Fn fn,
                const std::string& listens = kListenTcp) {
    std::vector<crypto::PrivateKey> keys;
    for (unsigned char i = 0; i < count; ++i)
        keys.push_back(make_key(i));
    testing::Simulation simulation;
    RelayWorld world(simulation, keys, relays, limits, listens);
    simulation.run(io::with_group(&detail::run_relay_body<Fn>, std::ref(world), std::move(fn)));
}

}  // namespace kwaai::p2p::relay
