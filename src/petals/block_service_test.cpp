#include "petals/block_service.hpp"

#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "petals/server_world_test.hpp"

using namespace kwaai;
using namespace kwaai::petals;
using namespace std::chrono_literals;
using io::Task;

namespace {

using Body = Task<void> (*)(FakeWorld& world);

// The server of most tests: 1024 tokens of cache, short times.
ServerOptions usual_options() {
    ServerOptions options{.prefix = "m", .version = "0.1", .rows = {}, .limits = {}};
    options.limits.sessions_max = 4;
    options.limits.sessions_per_peer_max = 2;
    options.limits.length_max = 2048;
    options.limits.batch_max = 4;
    options.limits.step_tokens_max = 64;
    return options;
}

void with_server(Body body) {
    FakeWorld world(std::make_unique<FakeBackend>(), usual_options());
    world.run(body);
    CHECK(world.service.session_count() == 0);
    CHECK(world.backend->session_count() == 0);
    CHECK(world.backend->stats().kv_tokens_free == 1024);
}

std::string text_of(const Result<std::vector<float>>& answer) {
    if (answer) return "";
    const std::size_t colon = answer.error().context.find("answers: ");
    return colon == std::string::npos ? answer.error().context
                                      : answer.error().context.substr(colon + 9);
}

// Ends the session in order and waits for the server's end.
Task<void> finish(hivemind::CallStream& call) {
    const Bytes nothing;
    REQUIRE((co_await call.send(nothing)).has_value());
    REQUIRE((co_await call.end_requests()).has_value());
    const Result<std::optional<codec::Buffer>> end = co_await call.receive();
    REQUIRE(end.has_value());
    CHECK_FALSE(end->has_value());
}

}  // namespace

TEST_CASE("a session computes its steps one after the other and ends with an empty request") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        AskedStep first = opening();
        first.tokens = 3;
        const auto prefill = co_await ask(call, std::move(first));
        REQUIRE(prefill.has_value());
        CHECK(*prefill == std::vector<float>(12, 4.5F));  // four blocks
        CHECK(world.service.session_count() == 1);
        CHECK(world.backend->stats().kv_tokens_free == 960);
        const auto next = co_await ask(call, AskedStep());
        CHECK(next.value().size() == 4);
        REQUIRE(world.backend->steps.size() == 2);
        CHECK(world.backend->steps[1].start_position == 3);
        co_await finish(call);
        REQUIRE(world.events.size() == 2);
        CHECK(world.events[0].kind == ServerEvent::Kind::session_opened);
        CHECK(world.events[0].text == "blocks 2:6, 1 sequence of up to 16 tokens");
        CHECK(world.events[0].peer == make_peer(1).to_text());
        CHECK(world.events[1].kind == ServerEvent::Kind::session_ended);
        CHECK(world.events[1].text == "after 2 steps");
        CHECK(world.backend->session_count() == 0);
    });
}

TEST_CASE("a chain of some of the blocks goes through these alone") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        AskedStep first = opening();
        first.uid = "m.3 m.4";
        const auto rows = co_await ask(call, std::move(first));
        CHECK(rows.value() == std::vector<float>(4, 2.5F));
        co_await finish(call);
    });
}

TEST_CASE("a step may go back, and carries its hypo ids to the backend") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        AskedStep first = opening();
        first.batch = 2;
        first.tokens = 5;
        REQUIRE((co_await ask(call, std::move(first))).has_value());
        AskedStep step = AskedStep().with("start_from_position", 3);
        step.batch = 2;
        const std::vector<std::int64_t> ids{1, 0};
        step.more_tensors = {hivemind::make_dummy(hivemind::WireType::float32),
                             hivemind::make_int_tensor({2}, ids)};
        REQUIRE((co_await ask(call, std::move(step))).has_value());
        CHECK(world.backend->steps.back().start_position == 3);
        CHECK(world.backend->steps.back().hypo_ids == std::vector<std::uint32_t>{1, 0});
        co_await finish(call);
    });
}

TEST_CASE("deep prompts are added before each block") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        AskedStep first = opening();
        first.tokens = 2;
        const std::vector<float> values(4 * 4, 10.0F);  // [4 blocks, 1, 1 position, 4]
        first.more_tensors = {
            hivemind::make_tensor({4, 1, 1, 4}, values, hivemind::WireType::float32)};
        const auto rows = co_await ask(call, std::move(first));
        REQUIRE(rows.has_value());
        CHECK(*rows == std::vector<float>{44.5, 44.5, 44.5, 44.5, 4.5, 4.5, 4.5, 4.5});
        const auto next = co_await ask(call, AskedStep());
        CHECK(next.value() == std::vector<float>(4, 4.5F));
        co_await finish(call);
    });
}

TEST_CASE("a repeated step is passed over in silence") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        REQUIRE((co_await ask(call, opening().with("step_id", std::string("a")))).has_value());
        const codec::Buffer again = encode_request(AskedStep().with("step_id", std::string("a")));
        const Bytes bytes(again);
        REQUIRE((co_await call.send(bytes)).has_value());
        AskedStep other = AskedStep().with("step_id", std::string("b"));
        other.tokens = 2;
        const auto rows = co_await ask(call, std::move(other));
        CHECK(rows.value().size() == 8);  // the answer to b
        CHECK(world.backend->steps.size() == 2);
        co_await finish(call);
    });
}

TEST_CASE("a step without tokens reserves room and is answered with an empty tensor") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        AskedStep first = opening(100);
        first.tokens = 0;
        const auto rows = co_await ask(call, std::move(first));
        REQUIRE(rows.has_value());
        CHECK(rows->empty());
        CHECK(world.backend->stats().kv_tokens_free == 1024 - 128);
        co_await finish(call);
    });
}

TEST_CASE("answers have the server's type") {
    ServerOptions options = usual_options();
    options.rows = hivemind::WireType::bfloat16;
    FakeWorld world(std::make_unique<FakeBackend>(), options);
    world.run([](FakeWorld& own) -> Task<void> {
        hivemind::CallStream call = own.call();
        const codec::Buffer request = encode_request(opening());
        const Bytes bytes(request);
        REQUIRE((co_await call.send(bytes)).has_value());
        const auto answer = co_await call.receive();
        const ExpertMessage message = decode_message(answer.value().value()).value();
        REQUIRE(message.tensors.size() == 1);
        CHECK(message.tensors[0].type == hivemind::WireType::bfloat16);
        CHECK(message.tensors[0].shape == std::vector<std::uint32_t>{1, 1, 4});
        const Result<ServerInfo> info = co_await own.info("");
        CHECK(info.value().kwaai->rows == hivemind::WireType::bfloat16);
        co_await finish(call);
    });
}

TEST_CASE("requests that end without an empty one are an error, as they are to stock servers") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        REQUIRE((co_await ask(call, opening())).has_value());
        REQUIRE((co_await call.end_requests()).has_value());
        const auto end = co_await call.receive();
        REQUIRE_FALSE(end.has_value());
        CHECK(end.error().context.ends_with("async generator raised StopAsyncIteration"));
        CHECK(world.events.back().text ==
              "after 1 step: async generator raised StopAsyncIteration");

        hivemind::CallStream empty = world.call();
        REQUIRE((co_await empty.end_requests()).has_value());
        const auto nothing = co_await empty.receive();
        REQUIRE_FALSE(nothing.has_value());
        CHECK(nothing.error().context.ends_with("async generator raised StopAsyncIteration"));
    });
}

TEST_CASE("bytes that are no request are refused with a sentence") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        const codec::Buffer garbage(4, std::byte{0xff});
        const Bytes bytes(garbage);
        REQUIRE((co_await call.send(bytes)).has_value());
        const auto answer = co_await call.receive();
        REQUIRE_FALSE(answer.has_value());
        CHECK(answer.error().code == Errc::unavailable);
    });
}

TEST_CASE("blocks that are not served are refused, and people hear of it") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        AskedStep first = opening();
        first.uid = "m.2 m.9";
        const auto rows = co_await ask(call, std::move(first));
        CHECK(text_of(rows) == "Remote peer does not serve m.9");
        REQUIRE(world.events.size() == 1);
        CHECK(world.events[0].kind == ServerEvent::Kind::refused);
        CHECK(world.events[0].text == "Remote peer does not serve m.9");
    });
}

TEST_CASE("a step that may not be ends the session, and its room is free") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        REQUIRE((co_await ask(call, opening(2))).has_value());
        REQUIRE((co_await ask(call, AskedStep())).has_value());
        const auto rows = co_await ask(call, AskedStep());
        CHECK(text_of(rows) ==
              "Maximum length exceeded: prefix 2 + current 1 exceeds pre-allocated maximum 2");
        CHECK(world.backend->session_count() == 0);
    });
}

TEST_CASE("a session that finds the cache full is refused at once in Petals' words") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream large = world.call();
        REQUIRE((co_await ask(large, opening(1000))).has_value());
        hivemind::CallStream call = world.call();
        const auto rows = co_await ask(call, opening(1));
        CHECK(text_of(rows) == "Could not allocate 16 bytes immediately: out of memory");
        co_await finish(large);
        hivemind::CallStream again = world.call();
        CHECK((co_await ask(again, opening(1))).has_value());
        co_await finish(again);
    });
}

TEST_CASE("who says how long gets the room when it is free, in the order of coming") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream large = world.call(1);
        REQUIRE((co_await ask(large, opening(1000))).has_value());
        hivemind::CallStream first = world.call(2);
        hivemind::CallStream second = world.call(3);
        const codec::Buffer wish = encode_request(opening(640).with("alloc_timeout", 60.0));
        const Bytes bytes(wish);
        REQUIRE((co_await first.send(bytes)).has_value());
        co_await testing::let_others_run();
        REQUIRE((co_await second.send(bytes)).has_value());
        co_await world.simulation.clock().sleep_for(10s);
        CHECK(world.backend->session_count() == 1);
        co_await finish(large);
        const auto served = co_await first.receive();
        CHECK(served.has_value());
        co_await testing::let_others_run();
        CHECK(world.backend->session_count() == 1);  // no room for both
        // One who does not wait takes what is left.
        hivemind::CallStream small = world.call(4);
        CHECK((co_await ask(small, opening(64))).has_value());
        co_await finish(small);
        co_await finish(first);
        const auto later = co_await second.receive();
        CHECK(later.has_value());
        co_await finish(second);
    });
}

TEST_CASE("room that others free in the backend is noticed") {
    with_server([](FakeWorld& world) -> Task<void> {
        world.backend->take_elsewhere(1024);
        hivemind::CallStream call = world.call();
        const codec::Buffer wish = encode_request(opening().with("alloc_timeout", 60.0));
        const Bytes bytes(wish);
        REQUIRE((co_await call.send(bytes)).has_value());
        co_await world.simulation.clock().sleep_for(10s);
        world.backend->free_elsewhere(1024);
        const io::TimePoint freed = world.simulation.clock().now();
        const auto answer = co_await call.receive();
        CHECK(answer.has_value());
        CHECK(world.simulation.clock().now() - freed <= 1s);
        co_await finish(call);
    });
}

TEST_CASE("the wait for room ends: at the caller's time, at the server's, or at once") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream large = world.call(1);
        REQUIRE((co_await ask(large, opening(1000))).has_value());
        hivemind::CallStream call = world.call(2);
        const io::TimePoint start = world.simulation.clock().now();
        const auto rows = co_await ask(call, opening(10).with("alloc_timeout", 2.5));
        CHECK(text_of(rows) ==
              "Server's attention cache is full, failed to allocate 160 bytes in 2.5 seconds");
        CHECK(world.simulation.clock().now() - start == 2500ms);

        hivemind::CallStream never = world.call(2);
        const auto forever = co_await ask(never, opening(2000).with("alloc_timeout", 60.0));
        CHECK(text_of(forever) == "Could not allocate 32000 bytes, max cache size = 16384 bytes");
        CHECK(world.simulation.clock().now() - start == 2500ms);
        co_await finish(large);
    });
}

TEST_CASE("the server's bound on the wait is kept, also for infinity") {
    ServerOptions options = usual_options();
    options.limits.alloc_timeout_max = 7s;
    FakeWorld world(std::make_unique<FakeBackend>(), options);
    world.run([](FakeWorld& own) -> Task<void> {
        own.backend->take_elsewhere(1024);
        hivemind::CallStream call = own.call();
        const io::TimePoint start = own.simulation.clock().now();
        const auto rows = co_await ask(
            call, opening().with("alloc_timeout", std::numeric_limits<double>::infinity()));
        CHECK(text_of(rows).ends_with("in 7 seconds"));
        CHECK(own.simulation.clock().now() - start == 7s);
    });
}

TEST_CASE("a caller who leaves while it waits for room leaves the queue") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream large = world.call(1);
        REQUIRE((co_await ask(large, opening(1000))).has_value());
        hivemind::CallStream first = world.call(2);
        hivemind::CallStream second = world.call(3);
        const codec::Buffer wish = encode_request(opening(1000).with("alloc_timeout", 60.0));
        const Bytes bytes(wish);
        REQUIRE((co_await first.send(bytes)).has_value());
        co_await testing::let_others_run();
        REQUIRE((co_await second.send(bytes)).has_value());
        co_await testing::let_others_run();
        CHECK(world.service.session_count() == 3);
        first.close();
        co_await testing::let_others_run();
        CHECK(world.service.session_count() == 2);
        co_await finish(large);
        const auto served = co_await second.receive();
        CHECK(served.has_value());
        co_await finish(second);
    });
}

TEST_CASE("a caller who leaves between steps has its room freed at once") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        REQUIRE((co_await ask(call, opening())).has_value());
        CHECK(world.backend->session_count() == 1);
        call.close();
        co_await testing::let_others_run();
        CHECK(world.backend->session_count() == 0);
        CHECK(world.events.back().text == "cut off after 1 step");
    });
}

TEST_CASE("a caller who leaves while a step is computed has its room freed at once") {
    with_server([](FakeWorld& world) -> Task<void> {
        world.backend->is_holding = true;
        hivemind::CallStream call = world.call();
        const codec::Buffer request = encode_request(opening());
        const Bytes bytes(request);
        REQUIRE((co_await call.send(bytes)).has_value());
        co_await testing::let_others_run();
        REQUIRE(world.backend->waiting_count() == 1);
        CHECK(world.backend->session_count() == 1);
        call.close();
        co_await testing::let_others_run();
        CHECK(world.backend->session_count() == 0);
        CHECK(world.service.session_count() == 0);
        world.backend->release();  // the answer to nobody
        co_await testing::let_others_run();
    });
}

TEST_CASE("the server may end while a step is computed, and the backend answer later") {
    FakeWorld world(std::make_unique<FakeBackend>(), usual_options());
    world.backend->is_holding = true;
    world.run([](FakeWorld& own) -> Task<void> {
        hivemind::CallStream call = own.call();
        const codec::Buffer request = encode_request(opening());
        const Bytes bytes(request);
        REQUIRE((co_await call.send(bytes)).has_value());
        co_await testing::let_others_run();
    });
    CHECK(world.service.session_count() == 0);
    CHECK(world.backend->session_count() == 0);
    world.backend->release();
    world.simulation.loop().poll();
}

TEST_CASE("requests may be sent ahead of their answers") {
    with_server([](FakeWorld& world) -> Task<void> {
        world.backend->is_holding = true;
        hivemind::CallStream call = world.call();
        const codec::Buffer first = encode_request(opening());
        const codec::Buffer second = encode_request(AskedStep());
        const Bytes one(first);
        const Bytes two(second);
        const Bytes nothing;
        REQUIRE((co_await call.send(one)).has_value());
        REQUIRE((co_await call.send(two)).has_value());
        REQUIRE((co_await call.send(nothing)).has_value());
        REQUIRE((co_await call.end_requests()).has_value());
        co_await testing::let_others_run();
        CHECK(world.backend->waiting_count() == 1);  // a step at a time
        world.backend->is_holding = false;
        world.backend->release();
        const auto answer = co_await call.receive();
        CHECK(answer.value().has_value());
        const auto next = co_await call.receive();
        CHECK(next.value().has_value());
        const auto end = co_await call.receive();
        CHECK_FALSE(end.value().has_value());
    });
}

TEST_CASE("a session without a next step ends in silence") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        REQUIRE((co_await ask(call, opening())).has_value());
        const io::TimePoint start = world.simulation.clock().now();
        const auto end = co_await call.receive();
        REQUIRE(end.has_value());
        CHECK_FALSE(end->has_value());
        CHECK(world.simulation.clock().now() - start == 300s);
        CHECK(world.backend->session_count() == 0);
    });
}

TEST_CASE("a call without a first step ends in silence") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        const auto end = co_await call.receive();
        REQUIRE(end.has_value());
        CHECK_FALSE(end->has_value());
        CHECK(world.events.empty());
    });
}

TEST_CASE("a session has an end in any case") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        REQUIRE((co_await ask(call, opening())).has_value());
        const io::TimePoint start = world.simulation.clock().now();
        while (true) {
            co_await world.simulation.clock().sleep_for(200s);
            const auto rows = co_await ask(call, AskedStep().with("start_from_position", 0));
            if (rows) continue;
            CHECK(text_of(rows) == "TimeoutError: a session may last 1800 s");
            break;
        }
        CHECK(world.simulation.clock().now() - start == 1800s);
        CHECK(world.events.back().text == "cut off after 9 steps");
    });
}

TEST_CASE("a peer has a number of sessions, and so have all") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream a = world.call(1);
        hivemind::CallStream b = world.call(1);
        hivemind::CallStream refused = world.call(1);
        const auto rows = co_await ask(refused, opening());
        CHECK(text_of(rows) ==
              "you have 2 sessions on this server already, which is the most it gives to a peer");
        hivemind::CallStream c = world.call(2);
        hivemind::CallStream d = world.call(2);
        hivemind::CallStream full = world.call(3);
        const auto none = co_await ask(full, opening());
        CHECK(text_of(none) == "this server serves 4 sessions already; try again later");
        CHECK(world.service.session_count() == 4);
        CHECK((co_await ask(d, opening())).has_value());
        a.close();
        b.close();
        c.close();
        co_await finish(d);
        co_await testing::let_others_run();
        CHECK(world.service.session_count() == 0);
    });
}

TEST_CASE("a session's id is its own while it lasts") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call(1);
        REQUIRE((co_await ask(call, opening().with("session_id", std::string("s")))).has_value());
        hivemind::CallStream other = world.call(2);
        const auto rows = co_await ask(other, opening().with("session_id", std::string("s")));
        CHECK(text_of(rows) == "session id s is not unique");
        CHECK((co_await ask(call, AskedStep())).has_value());
        co_await finish(call);
        hivemind::CallStream again = world.call(2);
        CHECK((co_await ask(again, opening().with("session_id", std::string("s")))).has_value());
        co_await finish(again);
    });
}

TEST_CASE("what the backend refuses is told to the caller") {
    with_server([](FakeWorld& world) -> Task<void> {
        hivemind::CallStream call = world.call();
        REQUIRE((co_await ask(call, opening())).has_value());
        world.backend->close(1);
        const auto rows = co_await ask(call, AskedStep());
        CHECK(text_of(rows) == "no such session");
    });
}

TEST_CASE("rpc_info tells the schema to who names a block, and how much room there is") {
    with_server([](FakeWorld& world) -> Task<void> {
        world.service.set_digest({std::byte{9}});
        const ServerInfo monitor = (co_await world.info("")).value();
        CHECK(monitor.version == "0.1");
        CHECK(monitor.cache_tokens_available == 4096);
        CHECK_FALSE(monitor.schema_hidden.has_value());
        const ServerInfo client = (co_await world.info("m.3 m.4")).value();
        CHECK(client.schema_hidden == 4u);
        REQUIRE(client.kwaai.has_value());
        CHECK(client.kwaai->prefix == "m");
        CHECK(client.kwaai->range == inference::BlockRange{2, 6});
        CHECK(client.kwaai->arithmetic_id == 7);
        CHECK(client.kwaai->digest == ModelDigest{std::byte{9}});
    });
}

TEST_CASE("rpc_info for blocks that are not served is an error in Petals' words") {
    with_server([](FakeWorld& world) -> Task<void> {
        const Result<ServerInfo> info = co_await world.info("m.6");
        REQUIRE_FALSE(info.has_value());
        CHECK(info.error().context.ends_with("Remote peer does not serve m.6"));
    });
}

TEST_CASE("rpc_info for blocks waits a little for the digest; without blocks it does not") {
    with_server([](FakeWorld& world) -> Task<void> {
        const io::TimePoint start = world.simulation.clock().now();
        const ServerInfo monitor = (co_await world.info("")).value();
        CHECK_FALSE(monitor.kwaai->digest.has_value());
        CHECK(world.simulation.clock().now() == start);
        const ServerInfo client = (co_await world.info("m.2")).value();
        CHECK_FALSE(client.kwaai->digest.has_value());
        CHECK(world.simulation.clock().now() - start == 5s);
    });
}

TEST_CASE("a digest that comes in time is told to those who wait") {
    with_server([](FakeWorld& world) -> Task<void> {
        world.simulation.clock().certainly_call_at(world.simulation.clock().now() + 2s, [&world] {
            world.service.set_digest({std::byte{9}});
        });
        const io::TimePoint start = world.simulation.clock().now();
        const ServerInfo info = (co_await world.info("m.2")).value();
        CHECK(info.kwaai->digest.has_value());
        CHECK(world.simulation.clock().now() - start == 2s);
    });
}
