// A server behind a router is found by what it offers, and the text through it is the exact one:
// directly where the routers allow it, else over relays, whatever these cut off.
#include <algorithm>

#include <doctest/doctest.h>

#include "sim/routed_world.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::sim {
namespace {

using namespace std::chrono_literals;
using testing::SimNatKind;

constexpr std::uint32_t kTokens = 400;

std::vector<inference::TokenId> exact_text(SharedModel& model) {
    std::vector<inference::TokenId> tokens;
    SwarmWorld world(model, 80, {{0, model.ends->config().block_count}});
    world.run([&](SwarmWorld& swarm) -> io::Task<void> {
        engine::Request request = greedy_request(swarm.model(), kTokens);
        SwarmOutcome outcome = co_await swarm.write(std::move(request), {});
        tokens = std::move(outcome.tokens);
    });
    return tokens;
}

std::size_t count_of(const RoutedWorld& world, petals::SessionEvent::Kind kind) {
    return static_cast<std::size_t>(
        std::ranges::count(world.events, kind, &petals::SessionEvent::kind));
}

TEST_CASE("through routers that keep a port's place, a text goes directly once a relay led there") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    RoutedWorld world(model, SimNatKind::cone, 2);
    bool was_direct = false;
    const auto on_token = [&](std::size_t /*tokens*/) {
        was_direct = world.is_direct();
    };
    // It has joined through the first relay; the second one was found by what it offers.
    const SwarmOutcome outcome = world.write(2, greedy_request(world.model(), kTokens), on_token);
    if (outcome.last.error) FAIL_CHECK(outcome.last.error->context);
    CHECK(outcome.tokens == exact_text(model));
    CHECK(was_direct);
    CHECK(std::ranges::count_if(world.told, &p2p::Multiaddr::is_relayed) == 2);
}

TEST_CASE("through other routers a text goes over a relay, which cuts it off again and again") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    RoutedWorld world(model, SimNatKind::symmetric, 1);
    bool was_direct = false;
    const auto on_token = [&](std::size_t /*tokens*/) {
        was_direct |= world.is_direct();
    };
    const SwarmOutcome outcome = world.write(1, greedy_request(world.model(), kTokens), on_token);
    if (outcome.last.error) FAIL_CHECK(outcome.last.error->context);
    CHECK(outcome.tokens == exact_text(model));
    CHECK(!was_direct);
    REQUIRE(count_of(world, petals::SessionEvent::Kind::waiting) > 0);
    CHECK(world.events.front().text.find("over a relay that grants 131072 bytes") !=
          std::string::npos);
}

TEST_CASE("where a relay dies amid a text, it goes on over another one") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    RoutedWorld world(model, SimNatKind::symmetric, 2);
    std::optional<std::size_t> victim;
    std::optional<std::size_t> heir;
    const auto on_token = [&](std::size_t tokens) {
        heir = world.relay_in_use();
        if (tokens != 20) return;
        victim = heir;
        REQUIRE(victim.has_value());
        world.network().crash(RoutedWorld::relay_ip(*victim));
    };
    const SwarmOutcome outcome = world.write(2, greedy_request(world.model(), kTokens), on_token);
    if (outcome.last.error) FAIL_CHECK(outcome.last.error->context);
    CHECK(outcome.tokens == exact_text(model));
    REQUIRE(heir.has_value());
    CHECK(heir != victim);
}

TEST_CASE("where the only relay dies, the blocks that are out of reach are named") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    RoutedWorld world(model, SimNatKind::symmetric, 1);
    const auto on_token = [&](std::size_t tokens) {
        if (tokens == 20) world.network().freeze(RoutedWorld::relay_ip(0));
    };
    const SwarmOutcome outcome = world.write(1, greedy_request(world.model(), kTokens), on_token);
    REQUIRE(outcome.last.error.has_value());
    CHECK(outcome.last.error->code == Errc::unavailable);
    CHECK(outcome.last.error->context.find("blocks 0:5 have no working server") !=
          std::string::npos);
}

}  // namespace
}  // namespace kwaai::sim
