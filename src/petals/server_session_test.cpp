#include "petals/server_session.hpp"

#include <array>
#include <cmath>
#include <limits>

#include <doctest/doctest.h>

using namespace kwaai;
using namespace kwaai::petals;
using hivemind::WireTensor;
using hivemind::WireType;

namespace {

const ServedBlocks kServed{.prefix = "m",
                           .range = {2, 6},
                           .hidden = 4,
                           .length_max = 100,
                           .batch_max = 8,
                           .step_tokens_max = 32};

WireTensor rows(std::uint32_t batch, std::uint32_t tokens, std::uint32_t hidden = 4) {
    const std::vector<float> values(std::size_t{batch} * tokens * hidden, 0.5F);
    return hivemind::make_tensor({batch, tokens, hidden}, values, WireType::float32);
}

WireTensor ids(std::vector<std::int64_t> values) {
    return hivemind::make_int_tensor({static_cast<std::uint32_t>(values.size())}, values);
}

WireTensor prompts(std::vector<std::uint32_t> shape) {
    std::size_t count = 1;
    for (const std::uint32_t extent : shape)
        count *= extent;
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i)
        values[i] = static_cast<float>(i);
    return hivemind::make_tensor(std::move(shape), values, WireType::float32);
}

ExpertMessage request(std::vector<WireTensor> tensors, std::string uid = "m.2 m.3 m.4 m.5") {
    return {.uid = std::move(uid), .tensors = std::move(tensors), .metadata = {}};
}

StepMetadata opening(std::uint32_t max_length = 16) {
    StepMetadata metadata;
    metadata.max_length = max_length;
    return metadata;
}

std::string open_error(const ExpertMessage& message, const StepMetadata& metadata) {
    const auto session = ServerSession::open(message, metadata, kServed);
    return session ? "" : session.error().context;
}

ServerSession open_session(std::uint32_t batch = 1, std::uint32_t max_length = 16) {
    return ServerSession::open(request({rows(batch, 1)}), opening(max_length), kServed).value();
}

std::string plan_error(ServerSession& session,
                       const ExpertMessage& message,
                       const StepMetadata& metadata = {}) {
    const auto step = session.plan(message, metadata);
    return step ? "" : step.error().context;
}

}  // namespace

TEST_CASE("a session goes through the blocks that its first request names") {
    const ServerSession session =
        ServerSession::open(request({rows(2, 3)}, "m.3 m.4"), opening(), kServed).value();
    CHECK(session.part() == inference::BlockRange{3, 5});
    CHECK(session.batch() == 2);
    CHECK(session.max_length() == 16);
    CHECK_FALSE(session.has_prompts());
}

TEST_CASE("the first block that is not served is named in Petals' words") {
    CHECK(served_part("m.2 m.7", kServed).error().context == "Remote peer does not serve m.7");
    CHECK(served_part("m.1 m.2", kServed).error().context == "Remote peer does not serve m.1");
    CHECK(served_part("n.2", kServed).error().context == "Remote peer does not serve n.2");
    CHECK(served_part("", kServed).error().context == "Remote peer does not serve ");
    CHECK(served_part("m.2 m.3 x", kServed).error().context == "Remote peer does not serve x");
}

TEST_CASE("served blocks out of order are no chain") {
    CHECK(served_part("m.3 m.2", kServed).error().code == Errc::malformed);
    CHECK(served_part("m.2 m.4", kServed).error().code == Errc::malformed);
    CHECK(served_part("m.2 m.2 m.2 m.2 m.2 m.2", kServed).error().code == Errc::malformed);
}

TEST_CASE("a name is shown in part only, and as valid UTF-8") {
    const std::string text = served_part(std::string(5000, 'x') + "\xff", kServed).error().context;
    CHECK(text.size() < 200);
    const std::string bad = served_part("\xff.1", kServed).error().context;
    CHECK(bad == "Remote peer does not serve \xEF\xBF\xBD.1");
}

TEST_CASE("the length of a session must be given and has a bound") {
    CHECK(open_error(request({rows(1, 1)}), StepMetadata()) ==
          "rpc_inference metadata must contain int max_length, got None");
    CHECK(open_error(request({rows(1, 1)}), opening(101)) ==
          "Cannot allocate KV cache for 101 tokens, max = 100");
    CHECK(open_error(request({rows(1, 1)}), opening(100)).empty());
    CHECK(open_error(request({rows(1, 0)}), opening(0)).empty());
}

TEST_CASE("an adapter is not found") {
    StepMetadata metadata = opening();
    metadata.active_adapter = "org/lora";
    CHECK(open_error(request({rows(1, 1)}), metadata) == "adapter org/lora not found");
}

TEST_CASE("the number of sequences has a bound") {
    CHECK(open_error(request({rows(8, 1)}), opening()).empty());
    CHECK(open_error(request({rows(9, 1)}), opening()) ==
          "a session of 9 sequences; this server takes 8");
    CHECK_FALSE(open_error(request({rows(0, 1)}), opening()).empty());
}

TEST_CASE("a first request without tensors opens a session of one sequence") {
    const ServerSession session = ServerSession::open(request({}), opening(), kServed).value();
    CHECK(session.batch() == 1);
}

TEST_CASE("hidden states of another shape are refused with both shapes") {
    CHECK(open_error(request({rows(1, 5, 3)}), opening()) ==
          "hidden states of shape [1, 5, 3] where this session takes [1, tokens, 4]");
    const WireTensor flat = hivemind::make_tensor({4}, std::vector<float>(4), WireType::float32);
    CHECK_FALSE(open_error(request({flat}), opening()).empty());
    CHECK_FALSE(open_error(request({hivemind::make_dummy(WireType::float32)}), opening()).empty());
    ServerSession session = open_session(2);
    CHECK(plan_error(session, request({rows(1, 1)})) ==
          "hidden states of shape [1, 1, 4] where this session takes [2, tokens, 4]");
}

TEST_CASE("hidden states of integers are refused") {
    const std::array<std::int64_t, 4> values{};
    const WireTensor integers = hivemind::make_int_tensor({1, 1, 4}, values);
    CHECK(open_error(request({integers}), opening()) ==
          "hidden states must be float32, float16 or bfloat16, got torch.int64");
}

TEST_CASE("rows of 16 bits are taken") {
    for (const WireType type : {WireType::float16, WireType::bfloat16}) {
        ServerSession session = open_session();
        const std::array<float, 4> values{1, -2, 0.5, 4};
        const auto step =
            session.plan(request({hivemind::make_tensor({1, 1, 4}, values, type)}), {}).value();
        CHECK(step->rows == std::vector<float>(values.begin(), values.end()));
    }
}

TEST_CASE("rows that are not finite are refused") {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
        ServerSession session = open_session();
        const std::array<float, 4> values{1, bad, 3, 4};
        const WireTensor tensor = hivemind::make_tensor({1, 1, 4}, values, WireType::float32);
        CHECK(plan_error(session, request({tensor})).starts_with("hidden states: "));
    }
}

TEST_CASE("steps follow one another, or go back") {
    ServerSession session = open_session();
    CHECK(session.plan(request({rows(1, 5)}), {}).value()->start == 0);
    CHECK(session.plan(request({rows(1, 2)}), {}).value()->start == 5);
    StepMetadata back;
    back.start_from_position = 3;
    const auto step = session.plan(request({rows(1, 1)}), back).value();
    CHECK(step->start == 3);
    CHECK(step->token_count == 1);
    CHECK(session.plan(request({rows(1, 1)}), {}).value()->start == 4);
}

TEST_CASE("a step beyond the prefix is refused") {
    ServerSession session = open_session();
    REQUIRE(session.plan(request({rows(1, 5)}), {}).has_value());
    StepMetadata beyond;
    beyond.start_from_position = 6;
    CHECK(plan_error(session, request({rows(1, 1)}), beyond) ==
          "start_from_position 6 is beyond the session's 5 positions");
}

TEST_CASE("a repeated step is passed over, also when it could not be read") {
    ServerSession session = open_session();
    StepMetadata metadata;
    metadata.step_id = "a";
    REQUIRE(session.plan(request({rows(1, 5)}), metadata).value().has_value());
    CHECK_FALSE(session.plan(request({rows(1, 5)}), metadata).value().has_value());
    CHECK_FALSE(session.plan(request({rows(3, 9, 1)}), metadata).value().has_value());
    metadata.step_id = "b";
    CHECK(session.plan(request({rows(1, 1)}), metadata).value()->start == 5);
}

TEST_CASE("a step of no tokens is legal") {
    ServerSession session = open_session();
    const auto step = session.plan(request({rows(1, 0)}), {}).value();
    CHECK(step->token_count == 0);
    CHECK(step->rows.empty());
}

TEST_CASE("a step past the end of the session is refused in Petals' words") {
    ServerSession session = open_session(1, 6);
    REQUIRE(session.plan(request({rows(1, 6)}), {}).has_value());
    CHECK(plan_error(session, request({rows(1, 1)})) ==
          "Maximum length exceeded: prefix 6 + current 1 exceeds pre-allocated maximum 6");
}

TEST_CASE("a step of too many tokens is refused in Petals' words") {
    ServerSession session = open_session(4, 100);
    CHECK(plan_error(session, request({rows(4, 8)})).empty());
    CHECK(plan_error(session, request({rows(4, 9)})) ==
          "Task size greater than max_batch_size (32), it can't be processed");
}

TEST_CASE("hypo ids name a sequence for each sequence") {
    ServerSession session = open_session(2);
    const auto step = session.plan(request({rows(2, 1), prompts({0}), ids({1, 0})}), {}).value();
    CHECK(step->hypo_ids == std::vector<std::uint32_t>{1, 0});
    CHECK(plan_error(session, request({rows(2, 1), prompts({0}), ids({2, 0})})) ==
          "hypo id 2 in a session of 2 sequences");
    CHECK(plan_error(session, request({rows(2, 1), prompts({0}), ids({-1, 0})})) ==
          "hypo id -1 in a session of 2 sequences");
    CHECK(plan_error(session, request({rows(2, 1), prompts({0}), ids({0})})) ==
          "hypo ids of shape [1] for a session of 2 sequences");
    CHECK(plan_error(session, request({rows(2, 1), prompts({0}), prompts({2})})) ==
          "hypo ids must be int64, got torch.float32");
}

TEST_CASE("without args_structure tensors are taken in their order, and only the first must be") {
    ServerSession session = open_session();
    CHECK(session.plan(request({rows(1, 1)}), {}).has_value());
    CHECK(session.plan(request({rows(1, 1), prompts({0})}), {}).has_value());
    CHECK(session.plan(request({rows(1, 1), prompts({0}), ids({}), rows(1, 9)}), {}).has_value());
}

TEST_CASE("the first request's args_structure says which tensor is what, in every step") {
    const auto name = [](std::string_view text) {
        return codec::MsgValue(codec::to_buffer(as_bytes(text)));
    };
    StepMetadata metadata = opening();
    metadata.args_structure = codec::make_tuple(
        {codec::make_tuple({name("__T1"), codec::MsgValue(), name("__T0")}), codec::MsgMap()});
    ServerSession session =
        ServerSession::open(request({ids({}), rows(1, 2)}), metadata, kServed).value();
    CHECK(session.plan(request({ids({}), rows(1, 2)}), metadata).value()->token_count == 2);
    CHECK(session.plan(request({ids({0}), rows(1, 1)}), {}).value()->hypo_ids.size() == 1);
    CHECK_FALSE(plan_error(session, request({rows(1, 1)})).empty());  // no tensor 1
}

TEST_CASE("an args_structure that we cannot follow is refused") {
    const auto refused = [](codec::MsgValue structure) {
        StepMetadata metadata = opening();
        metadata.args_structure = std::move(structure);
        return open_error(request({rows(1, 1)}), metadata).contains("args_structure");
    };
    const auto arguments = [](codec::MsgValue argument) {
        codec::MsgArray call;
        call.push_back(codec::make_tuple({std::move(argument)}));
        return call;
    };
    const auto name = [&](std::string_view text) {
        return arguments(codec::to_buffer(as_bytes(text)));
    };
    CHECK(refused(std::int64_t{1}));
    CHECK(refused(codec::MsgArray()));
    CHECK(refused(codec::MsgArray{std::int64_t{1}}));
    CHECK(refused(arguments(codec::make_tuple({std::int64_t{1}}))));
    CHECK(refused(arguments(std::string("__T0"))));
    CHECK(refused(name("__T0x")));
    CHECK(refused(name("__T")));
    CHECK(refused(name("T0")));
    CHECK(refused(name("__T99999999999999999999")));
    CHECK_FALSE(refused(name("__T0")));
}

TEST_CASE("deep prompts are read where the session began with some") {
    ServerSession session =
        ServerSession::open(request({rows(2, 5), prompts({4, 1, 2, 4})}), opening(), kServed)
            .value();
    REQUIRE(session.has_prompts());
    const auto step = session.plan(request({rows(2, 5), prompts({4, 1, 2, 4})}), {}).value();
    CHECK(step->prompts.length == 2);
    CHECK(step->prompts.batch == 1);
    CHECK(step->prompts.values.size() == 32);
    const auto each = session.plan(request({rows(2, 3), prompts({4, 2, 3, 4})}), {}).value();
    CHECK(each->prompts.batch == 2);
    CHECK(session.plan(request({rows(2, 1), prompts({0})}), {}).value()->prompts.length == 0);
}

TEST_CASE("deep prompts that come later, or of another shape, are refused") {
    ServerSession plain = open_session();
    CHECK_FALSE(plan_error(plain, request({rows(1, 2), prompts({4, 1, 2, 4})})).empty());
    const auto error = [](std::vector<std::uint32_t> shape) {
        ServerSession session =
            ServerSession::open(request({rows(2, 2), prompts({4, 1, 1, 4})}), opening(), kServed)
                .value();
        return plan_error(session, request({rows(2, 2), prompts(std::move(shape))}));
    };
    CHECK(error({4, 1, 2, 4}).empty());
    CHECK(error({3, 1, 2, 4}) == "Received 3 prompts for 4 backends");
    CHECK_FALSE(error({4, 3, 2, 4}).empty());
    CHECK_FALSE(error({4, 1, 2, 5}).empty());
    CHECK_FALSE(error({4, 1, 3, 4}).empty());
    CHECK_FALSE(error({4, 2, 4}).empty());
}

TEST_CASE("prompts are added to the first positions of every sequence before their block") {
    std::vector<float> values(2 * 3 * 2, 1.0F);  // [2 sequences, 3 tokens, hidden 2]
    const DeepPrompts shared{.length = 2, .batch = 1, .values = {0, 0, 0, 0, 1, 2, 3, 4}};
    add_prompts(shared, 1, 3, 2, values);
    CHECK(values == std::vector<float>{2, 3, 4, 5, 1, 1, 2, 3, 4, 5, 1, 1});
    const DeepPrompts each{.length = 1, .batch = 2, .values = {10, 20, 30, 40}};
    add_prompts(each, 0, 3, 2, values);
    CHECK(values == std::vector<float>{12, 23, 4, 5, 1, 1, 32, 43, 4, 5, 1, 1});
}
