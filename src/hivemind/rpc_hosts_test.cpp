// Calls between whole hosts on a simulated network: what they cost, and how faults look from above.
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "hivemind/rpc_client.hpp"
#include "hivemind/rpc_server.hpp"
#include "io/task_group.hpp"
#include "io/timeout.hpp"
#include "p2p/host_world_test.hpp"

using namespace kwaai;
using namespace kwaai::hivemind;
using namespace std::chrono_literals;
using io::Task;
using io::TaskGroup;
using p2p::HostWorld;

namespace {

const std::string kUnary = "Test.rpc_unary";
const std::string kStream = "Test.rpc_stream";
const std::string kSlow = "Test.rpc_slow";

Task<Result<codec::Buffer>> give_back(codec::Buffer request) {
    co_return request;
}

Task<Result<codec::Buffer>> sleep_long(io::Clock& clock, int& unwound) {
    struct Guard {
        int& unwound;

        ~Guard() { ++unwound; }
    };

    const Guard guard{unwound};
    co_await clock.sleep_for(1h);
    co_return codec::Buffer();
}

Task<Result<>> echo(ServedCall& call) {
    for (;;) {
        Result<std::optional<codec::Buffer>> request = co_await call.receive();
        if (!request) co_return forward_error(request);
        if (!*request) co_return Result<>();
        const Bytes part = **request;
        const std::span<const Bytes> parts(&part, 1);
        KWAAI_CO_CHECKED(co_await call.send(parts));
    }
}

// Two connected hosts; the second one serves.
struct World {
    World()
        : hosts(simulation, {p2p::make_key(1), p2p::make_key(2)}, p2p::Limits()),
          server(hosts.host(1), hosts.clock(), RpcLimits()) {
        server.handle_unary(kUnary, [](const p2p::PeerId&, codec::Buffer request) {
            return give_back(std::move(request));
        });
        server.handle_unary(kSlow, [this](const p2p::PeerId&, const codec::Buffer&) {
            return sleep_long(hosts.clock(), unwound);
        });
        server.handle_streaming(kStream, echo);
    }

    [[nodiscard]] p2p::Host& client() { return hosts.host(0); }

    [[nodiscard]] p2p::PeerId peer() { return hosts.host(1).id(); }

    [[nodiscard]] io::TimePoint now() { return hosts.clock().now(); }

    testing::Simulation simulation;
    HostWorld hosts;
    RpcServer server;
    int unwound = 0;
};

using Body = Task<void> (*)(World& world);

Task<void> run_world(TaskGroup& group, World& world, Body body) {
    for (std::size_t i = 0; i < 2; ++i)
        group.spawn(&p2p::Host::run, std::ref(world.hosts.host(i)));
    const auto connected = co_await world.client().connect(world.hosts.address(1));
    REQUIRE(connected.has_value());
    co_await body(world);
    for (std::size_t i = 0; i < 2; ++i)
        world.hosts.host(i).close();
}

void play(Body body) {
    World world;
    world.hosts.set_latency(10ms);
    world.simulation.run(io::with_group(run_world, std::ref(world), body));
    CHECK(world.server.calls_running() == 0);
}

Task<Result<codec::Buffer>> call(World& world, std::string method, codec::Buffer request) {
    return call_unary(
        world.client(), world.peer(), std::move(method), std::move(request), RpcLimits());
}

}  // namespace

TEST_CASE("a unary call over an open connection takes one round trip") {
    play([](World& world) -> Task<void> {
        const io::TimePoint start = world.now();
        const codec::Buffer request(1000, std::byte{7});
        const auto response = co_await call(world, kUnary, request);
        CHECK(response == request);
        CHECK(world.now() - start == 20ms);
    });
}

TEST_CASE("a request of exactly the limit is answered over a real connection") {
    play([](World& world) -> Task<void> {
        // 18 bytes of id, and the heads of the call: its peer, its method, its data.
        const UnaryRequest empty{.peer = world.peer().bytes(), .method = kUnary};
        const codec::Buffer request(RpcLimits().unary_bytes_max - envelope_size(empty) - 8);
        const auto response = co_await call(world, kUnary, request);
        REQUIRE(response.has_value());
        CHECK(response->size() == request.size());
    });
}

TEST_CASE("a streaming call moves megabytes both ways, to an orderly end") {
    play([](World& world) -> Task<void> {
        auto opened = co_await open_call(world.client(), world.peer(), kStream, RpcLimits());
        REQUIRE(opened.has_value());
        CallStream& stream = **opened;
        for (const std::size_t size : {0u, 1u, 100'000u, 3'000'000u}) {
            const codec::Buffer message(size, std::byte{9});
            const Bytes bytes = message;
            const Result<> sent = co_await stream.send(bytes);
            CHECK(sent.has_value());
            const auto response = co_await stream.receive();
            REQUIRE(response.has_value());
            CHECK(*response == message);
        }
        const Result<> ended = co_await stream.end_requests();
        CHECK(ended.has_value());
        const auto end = co_await stream.receive();
        REQUIRE(end.has_value());
        CHECK(!end->has_value());
    });
}

TEST_CASE("a method that the peer does not serve is unsupported") {
    play([](World& world) -> Task<void> {
        // The request behind the proposal may cost the peer's reset, which overtakes its answer.
        const auto response = co_await call(world, "Test.rpc_nothing", codec::Buffer(3));
        REQUIRE(!response.has_value());
        CHECK(
            (response.error().code == Errc::unsupported || response.error().code == Errc::closed));
        auto opened =
            co_await open_call(world.client(), world.peer(), "Test.rpc_none", RpcLimits());
        REQUIRE(opened.has_value());
        const auto message = co_await (*opened)->receive();
        REQUIRE(!message.has_value());
        CHECK(message.error().code == Errc::unsupported);
    });
}

TEST_CASE("a call that its caller gives up unwinds the handler at the other host") {
    play([](World& world) -> Task<void> {
        auto calling = call(world, kSlow, codec::Buffer(3));
        const auto late = co_await io::with_timeout(world.hosts.clock(), 5s, std::move(calling));
        REQUIRE(!late.has_value());
        CHECK(late.error().code == Errc::timed_out);
        co_await world.hosts.clock().sleep_for(1s);
        CHECK(world.unwound == 1);
        CHECK(world.server.calls_running() == 0);
    });
}

TEST_CASE("a peer that crashes ends the calls to it, and what it was doing") {
    play([](World& world) -> Task<void> {
        static constexpr auto crash_later = [](World& inner) -> Task<void> {
            co_await inner.hosts.clock().sleep_for(3s);
            inner.hosts.network().crash(HostWorld::ip(1));
        };
        static constexpr auto body = [](TaskGroup& group, World& inner) -> Task<void> {
            group.spawn(crash_later, std::ref(inner));
            const auto response = co_await call(inner, kSlow, codec::Buffer(3));
            REQUIRE(!response.has_value());
            CHECK(response.error().code == Errc::closed);
        };
        co_await io::with_group(body, std::ref(world));
        co_await testing::let_others_run();
        CHECK(world.unwound == 1);
    });
}
