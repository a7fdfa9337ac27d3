// Hosts with public addresses on a simulated network, and a group for what runs beside them.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "p2p/host_world_test.hpp"

namespace kwaai::p2p {

/// Host i is at 203.0.113.(i+1) and listens on port 4001.
class NatWorld {
public:
    NatWorld(testing::Simulation& simulation, std::size_t count, const std::string& listens)
        : simulation_(simulation), network_(simulation.clock(), {.seed = 1}) {
        for (std::size_t i = 0; i < count; ++i) {
            hosts_.push_back(make_host(i, ip(i)));
            const auto listening =
                hosts_.back()->listen(Multiaddr::parse("/ip4/" + ip(i) + listens).value());
            if (!listening) throw std::runtime_error(listening.error().context);
        }
    }

    static std::string ip(std::size_t index) { return "203.0.113." + std::to_string(index + 1); }

    static std::vector<Multiaddr> parse(const std::vector<std::string>& texts) {
        std::vector<Multiaddr> all;
        for (const std::string& text : texts)
            all.push_back(Multiaddr::parse(text).value());
        return all;
    }

    /// One that does not listen and is not run.
    std::unique_ptr<Host> make_host(std::size_t number, const std::string& at) {
        return std::make_unique<Host>(
            network_.host(at), clock(), options_of(static_cast<unsigned char>(number)));
    }

    static HostOptions options_of(unsigned char number) {
        auto counter = std::make_shared<CounterRandom>(7000 + number);
        const auto random = [counter](MutableBytes into) {
            for (std::byte& byte : into)
                byte = static_cast<std::byte>(counter->next());
        };
        return {.identity = make_key(number),
                .agent = "nat-" + std::to_string(number),
                .random = random};
    }

    [[nodiscard]] Host& host(std::size_t index) { return *hosts_[index]; }

    [[nodiscard]] std::size_t size() const { return hosts_.size(); }

    [[nodiscard]] Multiaddr address(std::size_t index) {
        return hosts_[index]->addresses().front();
    }

    [[nodiscard]] testing::SimNetwork& network() { return network_; }

    [[nodiscard]] io::Clock& clock() { return simulation_.clock(); }

    /// What is spawned here may refer to what lives in the test's body, which ends with
    /// stop_group().
    [[nodiscard]] io::TaskGroup& group() { return *group_; }

    /// Hosts end, too: their handlers may belong to what the body has.
    io::Task<void> stop_group() {
        group_->cancel();
        for (const auto& host : hosts_)
            host->close();
        while (group_->size() > 0)
            co_await clock().sleep_for(std::chrono::milliseconds(1));
        co_await clock().sleep_for(std::chrono::seconds(1));  // for their goodbye
    }

    template <class Fn>
    static io::Task<void> run_inner(io::TaskGroup& group, NatWorld& world, Fn fn) {
        world.group_ = &group;
        co_await fn(world);
    }

    template <class Fn>
    static io::Task<void> run_hosts(io::TaskGroup& group, NatWorld& world, Fn fn) {
        for (std::size_t i = 0; i < world.size(); ++i)
            group.spawn(&Host::run, std::ref(world.host(i)));
        co_await io::with_group(&NatWorld::run_inner<Fn>, std::ref(world), std::move(fn));
        for (std::size_t i = 0; i < world.size(); ++i)
            world.host(i).close();
    }

private:
    testing::Simulation& simulation_;
    testing::SimNetwork network_;
    std::vector<std::unique_ptr<Host>> hosts_;
    io::TaskGroup* group_ = nullptr;
};

/// Runs `fn(world)`, a coroutine that captures nothing, beside `count` hosts, and closes them.
template <class Fn>
void run_nat_world(std::size_t count, Fn fn, const std::string& listens = kListenTcp) {
    testing::Simulation simulation;
    NatWorld world(simulation, count, listens);
    simulation.run(io::with_group(&NatWorld::run_hosts<Fn>, std::ref(world), std::move(fn)));
}

}  // namespace kwaai::p2p
