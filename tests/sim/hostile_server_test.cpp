// Servers that answer wrongly or not at all: the text goes on through another one, or ends with a
// sentence.
#include <array>

#include <doctest/doctest.h>

#include "petals/metadata.hpp"
#include "petals/wire.hpp"
#include "sim/swarm_world.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kTokens = 12;

enum class Lie : std::uint8_t { wrong_shape, not_a_number, no_tensor, rubbish, silence, early_end };

// Replaces a server's rpc_inference by one that lies from its third answer on.
class LiarCall {
public:
    LiarCall(Lie lie, std::uint32_t hidden, io::Clock& clock)
        : lie_(lie), hidden_(hidden), clock_(clock) {}

    io::Task<Result<>> serve(hivemind::ServedCall& call) const {
        while (true) {
            KWAAI_CO_TRY(const std::optional<codec::Buffer> request, co_await call.receive());
            if (!request || lie_ == Lie::early_end) co_return Result<>();
            KWAAI_CO_TRY(const petals::ExpertMessage step, petals::decode_message(*request));
            if (step.tensors.empty()) co_return Result<>();
            if (lie_ == Lie::silence) co_await clock_.sleep_for(1h);
            const codec::Buffer answer = make_answer(step);
            const Bytes bytes(answer);
            const std::span<const Bytes> parts(&bytes, 1);
            KWAAI_CO_CHECKED(co_await call.send(parts));
        }
    }

private:
    [[nodiscard]] codec::Buffer make_answer(const petals::ExpertMessage& step) const {
        std::vector<std::uint32_t> shape = step.tensors.front().shape;
        if (lie_ == Lie::rubbish) return codec::to_buffer(as_bytes("\xff\xff\xff rubbish"));
        petals::ExpertMessage answer;
        if (lie_ == Lie::wrong_shape) shape[1] += 1;
        std::vector<float> rows(std::size_t{shape[1]} * hidden_);
        if (lie_ == Lie::not_a_number) rows[3] = std::numeric_limits<float>::quiet_NaN();
        if (lie_ != Lie::no_tensor)
            answer.tensors.push_back(
                hivemind::make_tensor(shape, rows, hivemind::WireType::float32));
        return petals::encode_message(answer);
    }

    Lie lie_;
    std::uint32_t hidden_;
    io::Clock& clock_;
};

std::vector<inference::TokenId> honest_text(SharedModel& model) {
    std::vector<inference::TokenId> tokens;
    SwarmWorld world(model, 1, {{0, 5}});
    world.run([&tokens](SwarmWorld& swarm) -> io::Task<void> {
        engine::Request request = greedy_request(swarm.model(), kTokens);
        SwarmWorld::Outcome outcome = co_await swarm.write(std::move(request), {});
        tokens = std::move(outcome.tokens);
    });
    return tokens;
}

TEST_CASE("a server that lies is left for its twin, and the text is right") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    const auto expected = honest_text(model);
    REQUIRE(expected.size() == kTokens);
    std::uint64_t seed = 10;
    for (const Lie lie : {Lie::wrong_shape,
                          Lie::not_a_number,
                          Lie::no_tensor,
                          Lie::rubbish,
                          Lie::silence,
                          Lie::early_end}) {
        CAPTURE(static_cast<int>(lie));
        SwarmWorld world(model, ++seed, {{0, 2}, {2, 5}, {2, 5}});
        const LiarCall liar(lie, model.ends->config().hidden, world.clock());
        world.server(1).rpc().handle_streaming(
            petals::kInferenceMethod,
            [&liar](hivemind::ServedCall& call) { return liar.serve(call); });
        world.run([&expected](SwarmWorld& swarm) -> io::Task<void> {
            engine::Request request = greedy_request(swarm.model(), kTokens);
            const SwarmWorld::Outcome outcome = co_await swarm.write(std::move(request), {});
            if (outcome.last.error) FAIL_CHECK(outcome.last.error->context);
            CHECK(outcome.tokens == expected);
        });
    }
}

TEST_CASE("where nobody else serves the blocks, the text ends with a sentence that names them") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    SwarmWorld world(model, 30, {{0, 2}, {2, 5}});
    const LiarCall liar(Lie::wrong_shape, model.ends->config().hidden, world.clock());
    world.server(1).rpc().handle_streaming(
        petals::kInferenceMethod, [&liar](hivemind::ServedCall& call) { return liar.serve(call); });
    world.run([](SwarmWorld& swarm) -> io::Task<void> {
        engine::Request request = greedy_request(swarm.model(), kTokens);
        const SwarmWorld::Outcome outcome = co_await swarm.write(std::move(request), {});
        CHECK(outcome.last.finish == engine::FinishReason::failed);
        REQUIRE(outcome.last.error.has_value());
        CHECK(outcome.last.error->context.find("blocks 2:5 have no working server") !=
              std::string::npos);
        CHECK(outcome.last.error->context.find("with shape [1, ") != std::string::npos);
    });
}

TEST_CASE("a stopped server costs at most two seconds where it has a twin") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    SwarmWorld world(model, 40, {{0, 2}, {2, 5}, {2, 5}});
    world.run([](SwarmWorld& swarm) -> io::Task<void> {
        engine::Request request = greedy_request(swarm.model(), kTokens);
        io::TimePoint last = swarm.clock().now();
        io::Duration longest{};
        const auto on_token = [&](std::size_t tokens) {
            const io::TimePoint now = swarm.clock().now();
            if (tokens > 1) longest = std::max(longest, now - last);
            last = now;
            if (tokens == 5) swarm.network().freeze(SwarmWorld::ip(1));
        };
        const SwarmWorld::Outcome outcome = co_await swarm.write(std::move(request), on_token);
        CHECK(outcome.tokens.size() == kTokens);
        CHECK(longest > 500ms);
        CHECK(longest < 2s);
    });
}

TEST_CASE("a server of another model is refused, and a gap is named") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    SwarmWorld world(model, 50, {{0, 2}, {2, 5}});
    petals::ModelDigest other{};
    other[0] = std::byte{1};
    world.server(1).server().set_digest(other);
    const Result<> found = world.find_servers();
    REQUIRE_FALSE(found.has_value());
    CHECK(found.error().context.find("nobody serves blocks 2:5 of 0:5") != std::string::npos);
    CHECK(found.error().context.find("another model") != std::string::npos);
}

TEST_CASE("clients that open sessions without end are told so, and others go on") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    SharedModel model(path);
    const auto expected = honest_text(model);
    SwarmWorld world(model, 60, {{0, 5}});
    world.run([&expected](SwarmWorld& swarm) -> io::Task<void> {
        std::vector<std::unique_ptr<hivemind::CallStream>> greedy;
        std::size_t refused = 0;
        const p2p::PeerId peer = swarm.server(0).host().id();
        for (int i = 0; i < 100; ++i) {
            const hivemind::RpcLimits limits;
            auto call = co_await hivemind::open_call(
                swarm.client(), peer, petals::kInferenceMethod, limits);
            REQUIRE(call.has_value());
            petals::ExpertMessage open;
            open.uid = petals::to_uids({.prefix = "tiny", .range = {0, 5}});
            open.tensors.push_back(
                hivemind::make_tensor({1, 0, 64}, {}, hivemind::WireType::float32));
            const petals::SentStep step{
                .session_id = "s", .step_id = std::to_string(i), .max_length = 64};
            open.metadata = petals::encode_step(step);
            const codec::Buffer message = petals::encode_message(open);
            const Bytes bytes(message);
            const Result<> sent = co_await (*call)->send(bytes);
            static_cast<void>(sent);
            const auto answer = co_await (*call)->receive();
            if (!answer) ++refused;
            greedy.push_back(std::move(*call));
        }
        CHECK(refused > 0);
        CHECK(swarm.server(0).server().session_count() <= 32);
        greedy.clear();
        co_await swarm.clock().sleep_for(1s);
        CHECK(swarm.server(0).server().session_count() == 0);
        engine::Request request = greedy_request(swarm.model(), kTokens);
        const SwarmWorld::Outcome outcome = co_await swarm.write(std::move(request), {});
        CHECK(outcome.tokens == expected);
    });
}

}  // namespace
}  // namespace kwaai::sim
