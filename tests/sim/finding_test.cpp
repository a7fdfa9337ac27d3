// Servers that nobody named are found: before a text begins, and while it is written.
#include <doctest/doctest.h>

#include "sim/swarm_world.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kTokens = 400;
// Two parts, and a twin of the second one.
const std::vector<inference::BlockRange> kServers{{0, 2}, {2, 5}, {2, 5}};

engine::Request request_of(const engine::TextModel& model) {
    engine::Request request;
    request.prompt = model.tokenizer().encode("Once upon a time", {.add_bos = true});
    request.sampling.temperature = 0;
    request.max_tokens = kTokens;
    request.ignore_end = true;
    return request;
}

io::Task<void> join_later(SwarmWorld& world, std::size_t index, io::Duration after) {
    co_await world.clock().sleep_for(after);
    world.findable.push_back({.address = world.server(index).host().addresses().front()});
}

io::Task<void> find_late_half(io::TaskGroup& group, SwarmWorld& world, Result<>& found) {
    group.spawn(&p2p::Host::run, std::ref(world.server(0).host()));
    group.spawn(&p2p::Host::run, std::ref(world.server(1).host()));
    group.spawn(&p2p::Host::run, std::ref(world.client()));
    group.spawn(&join_later, std::ref(world), 1, 3s);
    found = co_await world.swarm().connect();
    group.cancel();
}

TEST_CASE("a client waits until servers of all blocks are found") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    SwarmWorld world(model, 70, kServers, {}, true);
    const io::TimePoint begin = world.clock().now();
    Result<> found;
    world.run_alone(io::with_group(&find_late_half, std::ref(world), std::ref(found)));
    if (!found) FAIL(found.error().context);
    CHECK(world.clock().now() - begin >= 3s);
    CHECK(world.clock().now() - begin < 6s);
    CHECK(world.swarm().routes().servers().size() == 2);
}

TEST_CASE("a client whose blocks nobody offers says which they are") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    SwarmWorld world(model, 71, kServers, {}, true);
    const Result<> found = world.find_servers();
    REQUIRE_FALSE(found);
    CHECK(found.error().code == Errc::unavailable);
    CHECK(found.error().context.find("2:5") != std::string::npos);
}

TEST_CASE("a server that is found amid a text takes over from one that leaves") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    std::vector<inference::TokenId> expected;
    {
        SwarmWorld world(model, 72, {{0, 5}});
        world.run([&](SwarmWorld& swarm) -> io::Task<void> {
            engine::Request request = request_of(swarm.model());
            SwarmWorld::Outcome outcome = co_await swarm.write(std::move(request), {});
            expected = std::move(outcome.tokens);
        });
    }
    SwarmWorld world(model, 73, kServers, {}, true);
    world.findable.push_back({.address = world.server(1).host().addresses().front()});
    world.network().set_link(SwarmWorld::kClientIp, SwarmWorld::ip(0), {.latency = 50ms});
    world.run([&](SwarmWorld& swarm) -> io::Task<void> {
        CHECK(swarm.swarm().routes().servers().size() == 2);
        const auto on_token = [&](std::size_t tokens) {
            if (tokens == 2)
                swarm.findable.push_back({.address = swarm.server(2).host().addresses().front()});
            if (tokens == 300) swarm.network().crash(SwarmWorld::ip(1));
        };
        engine::Request request = request_of(swarm.model());
        const SwarmWorld::Outcome outcome = co_await swarm.write(std::move(request), on_token);
        if (outcome.last.error) FAIL_CHECK(outcome.last.error->context);
        CHECK(outcome.tokens == expected);
        CHECK(swarm.swarm().routes().servers().size() == 3);
    });
}

}  // namespace
}  // namespace kwaai::sim
