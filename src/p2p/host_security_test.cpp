// Hosts that differ in how they make connections private.
#include <array>
#include <chrono>
#include <vector>

#include <doctest/doctest.h>

#include "p2p/host_world_test.hpp"

using namespace std::chrono_literals;

namespace kwaai::p2p {
namespace {

using Securities = std::vector<Security>;

struct Trial {
    Securities dialler;
    Securities listener;
};

struct Outcome {
    Result<> reached;
    io::Duration time{};
};

// Both hosts run; the first opens a stream to the second and waits for a byte's echo.
Outcome try_to_reach(const Trial& trial) {
    static const auto echo = [](std::unique_ptr<Stream> stream) -> io::Task<void> {
        std::array<std::byte, 1> byte{};
        const MutableBytes into(byte);
        const Result<std::size_t> count = co_await stream->read_some(into);
        if (!count || *count == 0) co_return;
        const Bytes back(byte);
        (void)co_await stream->write(back);
    };
    static const auto reach = [](HostWorld& world) -> io::Task<Result<>> {
        KWAAI_CO_TRY(auto stream, co_await world.host(0).open(world.host(1).id(), "/echo/1.0.0"));
        std::array<std::byte, 1> byte{};
        const Bytes part(byte);
        KWAAI_CO_CHECKED(co_await stream->write(part));
        const MutableBytes into(byte);
        KWAAI_CO_CHECKED(co_await stream->read_some(into));
        co_return Result<>();
    };
    static const auto scene =
        [](io::TaskGroup& group, HostWorld& world, Outcome& outcome) -> io::Task<void> {
        for (std::size_t i = 0; i < world.size(); ++i)
            group.spawn(&Host::run, std::ref(world.host(i)));
        const io::TimePoint begin = world.clock().now();
        outcome.reached = co_await reach(world);
        outcome.time = world.clock().now() - begin;
        for (std::size_t i = 0; i < world.size(); ++i)
            world.host(i).close();
    };
    testing::Simulation simulation;
    HostWorld world(simulation,
                    {make_key(1), make_key(2)},
                    Limits(),
                    [&trial](std::size_t index, HostOptions& options) {
                        options.securities = index == 0 ? trial.dialler : trial.listener;
                    });
    world.set_latency(50ms);
    world.host(1).handle("/echo/1.0.0", echo);
    world.host(0).add_address(world.host(1).id(), world.address(1));
    Outcome outcome;
    simulation.run(io::with_group(scene, std::ref(world), std::ref(outcome)));
    return outcome;
}

}  // namespace

TEST_CASE("hosts with a security in common reach each other, in as many round trips as it takes") {
    constexpr auto kNoise = Security::noise;
    constexpr auto kTls = Security::tls;

    struct Case {
        Trial trial;
        int round_trips;
    };

    const std::vector<Case> cases = {
        {{{kNoise, kTls}, {kNoise, kTls}}, 3},
        {{{kTls}, {kNoise, kTls}}, 3},
        {{{kTls, kNoise}, {kNoise}}, 5},   // asked first, and refused once
        {{{kTls, kNoise}, {kTls}}, 4},     // asked first
        {{{kNoise, kTls}, {kTls}}, 3 + 2}  // refused on a first connection
    };
    for (const Case& test : cases) {
        CAPTURE(test.trial.dialler.size());
        CAPTURE(test.trial.listener.size());
        CAPTURE(test.round_trips);
        const Outcome outcome = try_to_reach(test.trial);
        CHECK(outcome.reached.has_value());
        CHECK(outcome.time >= test.round_trips * 100ms);
        CHECK(outcome.time < test.round_trips * 100ms + 10ms);
    }
}

TEST_CASE("hosts without a security in common say so") {
    for (const bool is_noise : {true, false}) {
        const Security first = is_noise ? Security::noise : Security::tls;
        const Security second = is_noise ? Security::tls : Security::noise;
        const Outcome outcome = try_to_reach({.dialler = {first}, .listener = {second}});
        REQUIRE_FALSE(outcome.reached.has_value());
        CHECK(outcome.reached.error().code == Errc::unsupported);
    }
}

}  // namespace kwaai::p2p
