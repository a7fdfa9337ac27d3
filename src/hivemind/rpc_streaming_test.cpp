// Streaming calls over streams in memory: our client and our server together, and each against a
// misbehaving other end.
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "hivemind/fake_stream_test.hpp"
#include "hivemind/rpc_client.hpp"
#include "hivemind/rpc_dispatch.hpp"
#include "io/task_group.hpp"
#include "io/timeout.hpp"
#include "testing/simulation.hpp"

using namespace kwaai;
using namespace kwaai::hivemind;
using namespace std::chrono_literals;
using io::Task;
using io::TaskGroup;
using p2p::ResetCode;
using testing::Simulation;

namespace {

const std::string kEcho = "Test.rpc_echo";        // one response a request
const std::string kFirst = "Test.rpc_first";      // reads one request, answers twice, ends
const std::string kFail = "Test.rpc_fail";        // answers once, fails
const std::string kMute = "Test.rpc_mute";        // fails without a text
const std::string kFlood = "Test.rpc_flood";      // sends much, reads nothing
const std::string kSleeper = "Test.rpc_sleeper";  // does nothing for 10 s
const std::string kSlow = "Test.rpc_slow";        // reads a request a second

constexpr RpcLimits kLimits{
    .stream_message_bytes_max = 100'000, .calls_max = 2, .request_bytes_total_max = 200'000};

using Message = Result<std::optional<codec::Buffer>>;

struct Fate {
    bool is_unwound = false;
    bool is_finished = false;
    std::size_t received = 0;
};

struct Guard {
    Fate& fate;

    ~Guard() { fate.is_unwound = true; }
};

Task<Result<>> send_text(ServedCall& call, std::string text) {
    const Bytes part = as_bytes(text);
    const std::span<const Bytes> parts(&part, 1);
    Result<> sent = co_await call.send(parts);
    co_return sent;
}

Task<Result<>> echo(ServedCall& call) {
    for (;;) {
        Message request = co_await call.receive();
        if (!request) co_return forward_error(request);
        if (!*request) co_return Result<>();
        KWAAI_CO_CHECKED(co_await send_text(call, std::string(as_text(**request))));
    }
}

Task<Result<>> answer_first(ServedCall& call) {
    Message request = co_await call.receive();
    if (!request) co_return forward_error(request);
    for (const char* text : {"one", "two"}) {
        KWAAI_CO_CHECKED(co_await send_text(call, text));
    }
    co_return Result<>();
}

Task<Result<>> answer_then_fail(ServedCall& call, std::string text) {
    KWAAI_CO_CHECKED(co_await send_text(call, "first"));
    co_return fail(Errc::not_found, text);
}

Task<Result<>> flood(ServedCall& call, Fate& fate) {
    const Guard guard{fate};
    const std::string text(10'000, 'x');
    for (int i = 0; i < 100; ++i) {
        KWAAI_CO_CHECKED(co_await send_text(call, text));
    }
    fate.is_finished = true;
    co_return Result<>();
}

Task<Result<>> sleep_long(io::Clock& clock, Fate& fate) {
    const Guard guard{fate};
    co_await clock.sleep_for(10s);
    fate.is_finished = true;
    co_return Result<>();
}

Task<Result<>> read_slowly(ServedCall& call, io::Clock& clock, Fate& fate) {
    const Guard guard{fate};
    for (;;) {
        co_await clock.sleep_for(1s);
        Message request = co_await call.receive();
        if (!request) co_return forward_error(request);
        if (!*request) co_return Result<>();
        ++fate.received;
    }
}

struct World {
    World() : dispatch(simulation.clock(), kLimits) {
        io::Clock& clock = simulation.clock();
        dispatch.set_streaming(kEcho, echo);
        dispatch.set_streaming(kFirst, answer_first);
        dispatch.set_streaming(
            kFail, [](ServedCall& call) { return answer_then_fail(call, "no block 7"); });
        dispatch.set_streaming(kMute, [](ServedCall& call) { return answer_then_fail(call, ""); });
        dispatch.set_streaming(kFlood, [this](ServedCall& call) { return flood(call, fate); });
        dispatch.set_streaming(kSleeper,
                               [this, &clock](ServedCall&) { return sleep_long(clock, fate); });
        dispatch.set_streaming(
            kSlow, [this, &clock](ServedCall& call) { return read_slowly(call, clock, fate); });
    }

    [[nodiscard]] io::Duration now() { return simulation.clock().now().time_since_epoch() - 1h; }

    Simulation simulation;
    RpcDispatch dispatch;
    Fate fate;
};

Task<void> serve(RpcDispatch& dispatch, std::unique_ptr<p2p::Stream> stream) {
    co_await dispatch.serve_streaming(std::move(stream));
}

using CallerBody = Task<void> (*)(World& world, FakePair& pair);

Task<void> serve_and_play(TaskGroup& group, World& world, std::string method, CallerBody body) {
    FakePair pair = make_fake_pair(method, 16 << 10);
    group.spawn(serve, std::ref(world.dispatch), std::move(pair.callee));
    co_await body(world, pair);
}

// Serves one end of a pair while `body` plays the caller.
void play(const std::string& method, CallerBody body) {
    World world;
    world.simulation.run(io::with_group(serve_and_play, std::ref(world), method, body));
    CHECK(world.dispatch.calls_running() == 0);
}

Task<void> send(CallStream& call, std::string text) {
    const Bytes message = as_bytes(text);
    const Result<> sent = co_await call.send(message);
    CHECK(sent.has_value());
}

Task<void> send_raw(p2p::Stream& stream, std::string hex) {
    const codec::Buffer bytes = from_hex(hex);
    const Bytes all = bytes;
    const Result<> written = co_await stream.write(all);
    CHECK(written.has_value());
}

Task<void> expect_message(CallStream& call, std::string text) {
    const Message message = co_await call.receive();
    REQUIRE(message.has_value());
    REQUIRE(message->has_value());
    CHECK(as_text(**message) == text);
}

Task<void> expect_end(CallStream& call) {
    const Message message = co_await call.receive();
    REQUIRE(message.has_value());
    CHECK(!message->has_value());
}

Task<Error> expect_error(CallStream& call) {
    const Message message = co_await call.receive();
    REQUIRE(!message.has_value());
    co_return message.error();
}

Task<Result<std::string>> read_rest(p2p::Stream& stream) {
    codec::Buffer all;
    std::vector<std::byte> chunk(1000);
    for (;;) {
        Result<std::size_t> count = co_await stream.read_some(chunk);
        if (!count) co_return forward_error(count);
        if (*count == 0) co_return to_hex(all);
        codec::append(all, Bytes(chunk).first(*count));
    }
}

}  // namespace

TEST_CASE("requests and responses of a streaming call travel independently, to an orderly end") {
    play(kEcho, [](World&, FakePair& pair) -> Task<void> {
        CallStream call(std::move(pair.caller), kLimits);
        co_await send(call, "one");
        co_await expect_message(call, "one");
        co_await send(call, "");
        co_await send(call, std::string(100'000, 'x'));
        co_await expect_message(call, "");
        co_await expect_message(call, std::string(100'000, 'x'));
        const Result<> ended = co_await call.end_requests();
        CHECK(ended.has_value());
        co_await expect_end(call);
        co_await expect_end(call);
        CHECK(pair.caller_end->is_closed);
        CHECK(!pair.caller_end->reset.has_value());
        co_await testing::let_others_run();
        CHECK(!pair.callee_end->reset.has_value());
    });
}

TEST_CASE("a callee's frames are as Hivemind's: no frame says the end") {
    play(kEcho, [](World&, FakePair& pair) -> Task<void> {
        co_await send_raw(*pair.caller,
                          "0000000000000000020802"
                          "010000000000000000");
        const Result<std::string> rest = co_await read_rest(*pair.caller);
        CHECK(rest == "0000000000000000020802");
        pair.caller->close();
    });
}

TEST_CASE("a handler that fails sends its text in an error frame behind its responses, and ends") {
    play(kFail, [](World&, FakePair& pair) -> Task<void> {
        CallStream call(std::move(pair.caller), kLimits);
        co_await expect_message(call, "first");
        const Error error = co_await expect_error(call);
        CHECK(error.code == Errc::unavailable);
        CHECK(error.context == "peer …5MeL6A answers: no block 7");
        CHECK(pair.caller_end->is_closed);
    });
}

TEST_CASE("an error frame is never empty") {
    play(kMute, [](World&, FakePair& pair) -> Task<void> {
        CallStream call(std::move(pair.caller), kLimits);
        co_await expect_message(call, "first");
        const Error error = co_await expect_error(call);
        CHECK(error.context == "peer …5MeL6A answers: the call failed");
    });
}

TEST_CASE("a handler may end before it has read all requests, and its responses still arrive") {
    play(kFirst, [](World&, FakePair& pair) -> Task<void> {
        CallStream call(std::move(pair.caller), kLimits);
        for (int i = 0; i < 3; ++i)
            co_await send(call, "request");
        co_await testing::let_others_run();
        co_await send(call, "late");
        co_await expect_message(call, "one");
        co_await expect_message(call, "two");
        co_await expect_end(call);
        co_await testing::let_others_run();
        CHECK(!pair.callee_end->reset.has_value());
    });
}

TEST_CASE("a caller who goes away cancels the handler, which is told from an end of requests") {
    play(kSleeper, [](World& world, FakePair& pair) -> Task<void> {
        co_await send_raw(*pair.caller,
                          "000000000000000000"
                          "010000000000000000");
        co_await testing::let_others_run();
        CHECK(!world.fate.is_unwound);
        (void)co_await pair.caller->shutdown_write();
        const Result<std::string> rest = co_await read_rest(*pair.caller);
        CHECK(!rest.has_value());
        CHECK(pair.callee_end->reset == ResetCode::none);
        CHECK(world.fate.is_unwound);
        CHECK(!world.fate.is_finished);
        CHECK(world.now() == 0s);
    });
}

TEST_CASE("a caller who goes away while the handler waits for room to send cancels it too") {
    play(kFlood, [](World& world, FakePair& pair) -> Task<void> {
        co_await testing::let_others_run();
        CHECK(!world.fate.is_unwound);
        (void)co_await pair.caller->shutdown_write();
        co_await testing::let_others_run();
        CHECK(world.fate.is_unwound);
        CHECK(!world.fate.is_finished);
    });
}

TEST_CASE("frames that break the protocol end the call at once") {
    play(kSleeper, [](World& world, FakePair& pair) -> Task<void> {
        co_await send_raw(*pair.caller, "020000000000000000");
        co_await testing::let_others_run();
        CHECK(pair.callee_end->reset == ResetCode::protocol_violation);
        CHECK(world.fate.is_unwound);
    });
    play(kSleeper, [](World& world, FakePair& pair) -> Task<void> {
        co_await send_raw(*pair.caller, "0000000000000186a1");  // 100001 bytes
        co_await testing::let_others_run();
        CHECK(pair.callee_end->reset == ResetCode::resource_limit);
        CHECK(world.fate.is_unwound);
    });
}

TEST_CASE("requests are read ahead of the handler, but not without end") {
    play(kSlow, [](World& world, FakePair& pair) -> Task<void> {
        CallStream call(std::move(pair.caller), kLimits);
        // Five wait for the handler, which takes one a second; the rest fills the stream's 16 KiB.
        for (int i = 0; i < 20; ++i)
            co_await send(call, std::string(4000, 'x'));
        CHECK(world.fate.received >= 20 - 5 - 5);
        CHECK(world.now() >= 10s);
        const Result<> ended = co_await call.end_requests();
        CHECK(ended.has_value());
        co_await expect_end(call);
        CHECK(world.fate.received == 20);
    });
}

TEST_CASE("requests of all calls together take bounded memory") {
    static constexpr auto body = [](TaskGroup& group, World& world) -> Task<void> {
        std::vector<FakePair> pairs;
        for (int i = 0; i < 2; ++i) {
            FakePair& pair = pairs.emplace_back(make_fake_pair(kSleeper, 1 << 20));
            group.spawn(serve, std::ref(world.dispatch), std::move(pair.callee));
        }
        co_await testing::let_others_run();
        std::vector<std::unique_ptr<CallStream>> calls;
        for (FakePair& pair : pairs) {
            calls.push_back(std::make_unique<CallStream>(std::move(pair.caller), kLimits));
            co_await send(*calls.back(), std::string(60'000, 'x'));
            co_await send(*calls.back(), std::string(60'000, 'x'));
            co_await testing::let_others_run(100);
        }
        CHECK(!pairs[0].callee_end->reset.has_value());
        CHECK(pairs[1].callee_end->reset == ResetCode::resource_limit);
        group.cancel();
    };
    World world;
    world.simulation.run(io::with_group(body, std::ref(world)));
    CHECK(world.dispatch.calls_running() == 0);
}

TEST_CASE("a streaming call over the limit is reset") {
    static constexpr auto body = [](TaskGroup& group, World& world) -> Task<void> {
        std::vector<FakePair> pairs;
        for (int i = 0; i < 3; ++i) {
            FakePair& pair = pairs.emplace_back(make_fake_pair(kSleeper));
            group.spawn(serve, std::ref(world.dispatch), std::move(pair.callee));
        }
        co_await testing::let_others_run();
        CHECK(pairs.back().callee_end->reset == ResetCode::resource_limit);
        CHECK(world.dispatch.calls_running() == 2);
        group.cancel();
    };
    World world;
    world.simulation.run(io::with_group(body, std::ref(world)));
    CHECK(world.dispatch.calls_running() == 0);
}

namespace {

// What a caller makes of a callee who says `hex` and then closes or resets.
Error error_of(const std::string& hex, bool is_reset) {
    static constexpr auto body =
        [](FakePair& pair, std::string bytes, bool resets, Error& error) -> Task<void> {
        co_await send_raw(*pair.callee, bytes);
        if (resets)
            pair.callee->reset(ResetCode::none);
        else
            pair.callee->close();
        CallStream call(std::move(pair.caller), kLimits);
        error = co_await expect_error(call);
    };
    FakePair pair = make_fake_pair(kEcho);
    Simulation simulation;
    Error error{Errc::io, ""};
    simulation.run(body(pair, hex, is_reset, error));
    return error;
}

}  // namespace

TEST_CASE("a callee that breaks off or breaks the protocol is an error, never an orderly end") {
    CHECK(error_of("", true).code == Errc::closed);
    CHECK(error_of("000000000000000003aabb", false).code == Errc::closed);
    CHECK(error_of("0000", false).code == Errc::closed);
    CHECK(error_of("050000000000000000", false).code == Errc::malformed);
    CHECK(error_of("0000000000000186a1", false).code == Errc::limit_exceeded);
    CHECK(error_of("01000000000000000208ff", false).code == Errc::malformed);
    CHECK(error_of("010000000000000000", false).context ==
          "peer …5MeL6A answers: an error without a text");
}

TEST_CASE("a message over the limit is not sent") {
    static constexpr auto body = [](FakePair& pair) -> Task<void> {
        CallStream call(std::move(pair.caller), kLimits);
        const std::string text(100'001, 'x');
        const Bytes message = as_bytes(text);
        const Result<> sent = co_await call.send(message);
        REQUIRE(!sent.has_value());
        CHECK(sent.error().code == Errc::limit_exceeded);
        call.close();
        CHECK(pair.caller_end->reset == ResetCode::none);
    };
    FakePair pair = make_fake_pair(kEcho);
    Simulation simulation;
    simulation.run(body(pair));
}

TEST_CASE("a receive that is given up loses nothing of a message that has begun") {
    static constexpr auto body = [](Simulation& simulation, FakePair& pair) -> Task<void> {
        CallStream call(std::move(pair.caller), kLimits);
        for (const char* hex : {"0000000000", "00000003aa", "bb"}) {
            co_await send_raw(*pair.callee, hex);
            auto receiving = call.receive();
            const Message late =
                co_await io::with_timeout(simulation.clock(), 1s, std::move(receiving));
            REQUIRE(!late.has_value());
            CHECK(late.error().code == Errc::timed_out);
        }
        co_await send_raw(*pair.callee, "cc");
        const Message message = co_await call.receive();
        REQUIRE(message.has_value());
        REQUIRE(message->has_value());
        CHECK(to_hex(**message) == "aabbcc");
    };
    FakePair pair = make_fake_pair(kEcho);
    Simulation simulation;
    simulation.run(body(simulation, pair));
}

TEST_CASE("a call that is destroyed before its end is cancelled by a reset") {
    FakePair pair = make_fake_pair(kEcho);
    {
        const CallStream call(std::move(pair.caller), kLimits);
    }
    CHECK(pair.caller_end->reset == ResetCode::none);
}
