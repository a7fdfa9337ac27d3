// Hosts that meet on the open internet, for tests.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "io/event.hpp"
#include "p2p/host_world_test.hpp"

namespace kwaai::p2p {

/// Hosts at public addresses that all reach each other; the first one has these options. They hold
/// streams of kHold until the connection ends.
struct PublicWorld {
    static constexpr const char* kHold = "/hold/1.0.0";

    PublicWorld(std::size_t count,
                const Limits& limits,
                const std::shared_ptr<ConnectionGater>& gater = {}) {
        for (std::size_t i = 0; i < count; ++i) {
            hosts.push_back(std::make_unique<Host>(
                network.host(ip(i)),
                simulation.clock(),
                HostOptions{.identity = make_key(static_cast<unsigned char>(i)),
                            .limits = i == 0 ? limits : Limits(),
                            .gater = i == 0 ? gater : nullptr}));
            const auto listening = hosts[i]->listen(address(i).without_peer());
            REQUIRE(listening.has_value());
            hosts[i]->handle(kHold, hold);
        }
    }

    static std::string ip(std::size_t index) { return "198.51.100." + std::to_string(index + 1); }

    [[nodiscard]] Multiaddr address(std::size_t index) const {
        return Multiaddr::parse("/ip4/" + ip(index) + "/tcp/4001")
            .value()
            .with_peer(hosts[index]->id());
    }

    /// Where nobody answers.
    static Multiaddr nowhere(int number) {
        return Multiaddr::parse("/ip4/203.0.113." + std::to_string(number) + "/tcp/4001").value();
    }

    // Reads nothing and answers nothing.
    static io::Task<void> hold(std::unique_ptr<Stream> stream) {
        const std::unique_ptr<Stream> held = std::move(stream);
        io::Event never;
        co_await never.wait();
    }

    template <class Fn>
    static io::Task<void> live(io::TaskGroup& group, PublicWorld& world, Fn fn) {
        for (const auto& host : world.hosts)
            group.spawn(&Host::run, std::ref(*host));
        co_await fn(world);
        for (const auto& host : world.hosts)
            host->close();
    }

    template <class Fn>
    void run(Fn fn) {
        simulation.run(io::with_group(&PublicWorld::live<Fn>, std::ref(*this), std::move(fn)));
    }

    [[nodiscard]] io::Clock& clock() { return simulation.clock(); }

    testing::Simulation simulation;
    testing::SimNetwork network{simulation.clock(), {.seed = 1}};
    std::vector<std::unique_ptr<Host>> hosts;
};

}  // namespace kwaai::p2p
