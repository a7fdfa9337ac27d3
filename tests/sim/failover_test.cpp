// A server fails while a text is written through it: whatever the fault, the position and the
// victim, the text is the one of an undisturbed run.
#include <cstdlib>
#include <set>

#include <doctest/doctest.h>

#include "sim/swarm_world.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kTokens = 64;
// Three stretches, each served twice.
const std::vector<inference::BlockRange> kTwins{{0, 2}, {2, 4}, {4, 5}, {0, 2}, {2, 4}, {4, 5}};

enum class Fault : std::uint8_t { crash, silence, partition, reset, garbage };

constexpr std::array kFaults{
    Fault::crash, Fault::silence, Fault::partition, Fault::reset, Fault::garbage};

engine::Request request_of(const engine::TextModel& model, float temperature) {
    engine::Request request;
    request.prompt = model.tokenizer().encode("Once upon a time", {.add_bos = true});
    request.sampling.temperature = temperature;
    request.sampling.seed = 7;
    request.max_tokens = kTokens;
    request.ignore_end = true;
    return request;
}

std::vector<inference::TokenId> undisturbed(SharedModel& model, float temperature) {
    std::vector<inference::TokenId> tokens;
    SwarmWorld world(model, 1, kTwins);
    world.run([&tokens, temperature](SwarmWorld& swarm) -> io::Task<void> {
        engine::Request request = request_of(swarm.model(), temperature);
        SwarmWorld::Outcome outcome = co_await swarm.write(std::move(request), {});
        tokens = std::move(outcome.tokens);
    });
    return tokens;
}

void inject(SwarmWorld& world, std::size_t victim, Fault fault) {
    testing::SimNetwork& network = world.network();
    const std::string ip = SwarmWorld::ip(victim);
    switch (fault) {
        case Fault::crash: network.crash(ip); break;
        case Fault::silence: network.freeze(ip); break;
        case Fault::partition: network.cut(ip, SwarmWorld::kClientIp); break;
        case Fault::reset: network.reset(ip, SwarmWorld::kClientIp); break;
        case Fault::garbage: network.set_garbage(ip, SwarmWorld::kClientIp, true); break;
    }
}

unsigned seed_count() {
    const char* const text = std::getenv("KWAAI_SIM_SEEDS");
    return text == nullptr ? 1000 : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

TEST_CASE("a text through three servers is the text of the whole model") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    auto engine = engine::Engine::load(path, {.threads = 1});
    REQUIRE(engine.has_value());
    for (const float temperature : {0.0F, 0.9F}) {
        const auto tokens = undisturbed(model, temperature);
        REQUIRE(tokens.size() == kTokens);
        std::vector<inference::TokenId> local;
        std::atomic<bool> is_over{false};
        const auto id =
            (*engine)->submit(request_of(**engine, temperature), [&](const engine::Event& event) {
                local.insert(local.end(), event.tokens.begin(), event.tokens.end());
                if (event.finish) {
                    is_over = true;
                    is_over.notify_one();
                }
            });
        REQUIRE(id.has_value());
        is_over.wait(false);
        CHECK(tokens == local);
    }
}

TEST_CASE("whatever fails, whenever, the text stays the same") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    const std::array expected{undisturbed(model, 0.0F), undisturbed(model, 0.9F)};
    const unsigned count = seed_count();
    unsigned failovers = 0;
    for (unsigned seed = 0; seed < count; ++seed) {
        const std::size_t position = 1 + seed % (kTokens - 1);
        const std::size_t victim = random_bits(seed, 1) % kTwins.size();
        const Fault fault = kFaults[random_bits(seed, 2) % kFaults.size()];
        const bool is_sampled = random_bits(seed, 3) % 2 == 1;
        CAPTURE(seed);
        CAPTURE(position);
        CAPTURE(victim);
        CAPTURE(static_cast<int>(fault));
        petals::SwarmModelOptions options;
        options.on_session_event = [&failovers](const petals::SessionEvent& event) {
            if (event.kind == petals::SessionEvent::Kind::failed_over) ++failovers;
        };
        SwarmWorld world(model, seed + 2, kTwins, std::move(options));
        world.run([&](SwarmWorld& swarm) -> io::Task<void> {
            engine::Request request = request_of(swarm.model(), is_sampled ? 0.9F : 0.0F);
            const auto on_token = [&](std::size_t tokens) {
                if (tokens == position) inject(swarm, victim, fault);
            };
            const SwarmWorld::Outcome outcome = co_await swarm.write(std::move(request), on_token);
            if (outcome.last.error) FAIL_CHECK(outcome.last.error->context);
            CHECK(outcome.tokens == expected[is_sampled ? 1 : 0]);
        });
    }
    MESSAGE(count << " texts, " << failovers << " failovers");
    CHECK(failovers >= count / 4);  // half of the victims are in the route
}

// Rows of `count` tokens through the session, some of them at a time.
io::Task<std::vector<float>> step_through(petals::InferenceSession& session,
                                          const engine::ModelEnds& ends,
                                          std::span<const inference::TokenId> tokens) {
    auto rows = co_await session.step(ends.embed(tokens));
    REQUIRE(rows.has_value());
    co_return std::move(*rows);
}

TEST_CASE("what is taken back and written anew gives the rows of a fresh text, also on a twin") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    SwarmWorld world(model, 3, kTwins);
    world.run([&model](SwarmWorld& swarm) -> io::Task<void> {
        const auto tokens =
            swarm.model().tokenizer().encode("Once upon a time there was a dog", {.add_bos = true});
        const std::span<const inference::TokenId> all(tokens);
        REQUIRE(tokens.size() > 6);
        const petals::InferenceSession::Parts parts{.host = swarm.client(),
                                                    .clock = swarm.clock(),
                                                    .routes = swarm.swarm().routes(),
                                                    .block_count = model.ends->config().block_count,
                                                    .hidden = model.ends->config().hidden,
                                                    .max_length = 64,
                                                    .limits = {},
                                                    .on_event = {}};
        petals::InferenceSession fresh(parts);
        const auto expected = co_await step_through(fresh, *model.ends, all);
        for (const bool crashes : {false, true}) {
            CAPTURE(crashes);
            petals::InferenceSession session(parts);
            const auto first = co_await step_through(session, *model.ends, all.first(6));
            static_cast<void>(first);
            session.truncate(3);
            CHECK(session.length() == 3);
            if (crashes) swarm.network().crash(SwarmWorld::ip(1));
            const auto rest = co_await step_through(session, *model.ends, all.subspan(3));
            CHECK(session.length() == tokens.size());
            CHECK(std::equal(rest.begin(), rest.end(), expected.end() - std::ssize(rest)));
        }
    });
}

}  // namespace
}  // namespace kwaai::sim
