// Unary calls over streams in memory: our client and our server together, and each against a
// misbehaving other end.
#include <functional>
#include <string>

#include <doctest/doctest.h>

#include "hivemind/fake_stream_test.hpp"
#include "hivemind/rpc_client.hpp"
#include "hivemind/rpc_dispatch.hpp"
#include "io/task_group.hpp"
#include "p2p/length_prefixed.hpp"
#include "testing/simulation.hpp"

using namespace kwaai;
using namespace kwaai::hivemind;
using namespace std::chrono_literals;
using io::Task;
using io::TaskGroup;
using testing::Simulation;

namespace {

const std::string kEcho = "Test.rpc_echo";
const std::string kFail = "Test.rpc_fail";
const std::string kSlow = "Test.rpc_slow";
const std::string kLarge = "Test.rpc_large";

constexpr RpcLimits kLimits{.unary_bytes_max = 10'000, .calls_max = 3, .calls_per_peer_max = 3};

using Response = Result<codec::Buffer>;

// Says what became of the slow handler.
struct Fate {
    bool is_started = false;
    bool is_unwound = false;
    bool is_finished = false;
};

Task<Response> sleep_long(io::Clock& clock, Fate& fate) {
    struct Guard {
        Fate& fate;

        ~Guard() { fate.is_unwound = true; }
    };

    const Guard guard{fate};
    fate.is_started = true;
    co_await clock.sleep_for(10s);
    fate.is_finished = true;
    co_return codec::to_buffer(as_bytes("slow"));
}

Task<Response> give_back(codec::Buffer bytes) {
    co_return bytes;
}

Task<Response> fail_with(std::string text) {
    co_return fail(Errc::not_found, text);
}

struct World {
    World() : dispatch(simulation.clock(), kLimits) {
        dispatch.set_unary(kEcho, [](const p2p::PeerId&, codec::Buffer request) {
            return give_back(std::move(request));
        });
        dispatch.set_unary(kFail, [](const p2p::PeerId& caller, const codec::Buffer&) {
            return fail_with("no block 7 for " + caller.short_text());
        });
        dispatch.set_unary(kSlow, [this](const p2p::PeerId&, const codec::Buffer&) {
            return sleep_long(simulation.clock(), fate);
        });
        dispatch.set_unary(kLarge, [](const p2p::PeerId&, const codec::Buffer&) {
            return give_back(codec::Buffer(10'000));
        });
    }

    [[nodiscard]] io::Duration now() { return simulation.clock().now().time_since_epoch() - 1h; }

    Simulation simulation;
    RpcDispatch dispatch;
    Fate fate;
};

Task<void> serve(RpcDispatch& dispatch, std::unique_ptr<p2p::Stream> stream) {
    co_await dispatch.serve_unary(std::move(stream));
}

// A call through client and server.
Task<void> call(TaskGroup& group,
                World& world,
                std::string method,
                std::string request,
                std::optional<Response>& response) {
    FakePair pair = make_fake_pair(method);
    group.spawn(serve, std::ref(world.dispatch), std::move(pair.callee));
    Response got = co_await call_unary_on(
        std::move(pair.caller), codec::to_buffer(as_bytes(request)), kLimits);
    response.emplace(std::move(got));
}

Response call_in(World& world, const std::string& method, const std::string& request) {
    std::optional<Response> response;
    world.simulation.run(
        io::with_group(call, std::ref(world), method, request, std::ref(response)));
    REQUIRE(response.has_value());
    return std::move(*response);
}

// Serves the callee's end of a pair while `body(world, caller, pair)` plays the caller.
using CallerBody = Task<void> (*)(World& world, FakePair& pair);

Task<void> serve_and_play(TaskGroup& group, World& world, CallerBody body) {
    FakePair pair = make_fake_pair(kSlow);
    group.spawn(serve, std::ref(world.dispatch), std::move(pair.callee));
    co_await body(world, pair);
}

void play_caller(CallerBody body) {
    World world;
    world.simulation.run(io::with_group(serve_and_play, std::ref(world), body));
    CHECK(world.dispatch.calls_running() == 0);
}

codec::Buffer request_bytes(const std::string& method, const std::string& data) {
    const UnaryRequest request{.id = make_call_id(), .method = method, .data = as_bytes(data)};
    codec::Buffer bytes = encode_head(request);
    codec::append(bytes, data);
    return bytes;
}

// What the callee says until the end of its side; an error where it resets.
Task<Result<std::string>> read_rest(p2p::Stream& stream) {
    std::string text;
    std::vector<std::byte> chunk(1000);
    for (;;) {
        Result<std::size_t> count = co_await stream.read_some(chunk);
        if (!count) co_return forward_error(count);
        if (*count == 0) co_return text;
        text += as_text(Bytes(chunk).first(*count));
    }
}

Task<void> send(p2p::Stream& stream, codec::Buffer bytes) {
    const Bytes all = bytes;
    const Result<> written = co_await stream.write(all);
    CHECK(written.has_value());
}

Task<void> send_hex(p2p::Stream& stream, std::string hex) {
    co_await send(stream, from_hex(hex));
}

// Silence, then a FIN: how a callee refuses.
Task<void> expect_silent_end(FakePair& pair) {
    const Result<std::string> rest = co_await read_rest(*pair.caller);
    REQUIRE(rest.has_value());
    CHECK(rest->empty());
    CHECK(!pair.callee_end->reset.has_value());
}

}  // namespace

TEST_CASE("a unary call gives the response") {
    World world;
    CHECK(call_in(world, kEcho, "hello") == codec::to_buffer(as_bytes("hello")));
    CHECK(call_in(world, kEcho, "") == codec::Buffer());
    CHECK(world.dispatch.calls_running() == 0);
}

TEST_CASE("the text of a handler's error reaches the caller") {
    World world;
    const Response response = call_in(world, kFail, "x");
    REQUIRE(!response.has_value());
    CHECK(response.error().code == Errc::unavailable);
    CHECK(response.error().context == "peer …5MeL6A answers: no block 7 for 5MeL6A");
}

TEST_CASE("a response over the limit becomes an error that says so") {
    World world;
    const Response response = call_in(world, kLarge, "x");
    REQUIRE(!response.has_value());
    CHECK(response.error().context ==
          "peer …5MeL6A answers: the response of 10000 bytes is over the limit of 10000");
}

TEST_CASE("a request over the limit is not sent") {
    World world;
    const Response response = call_in(world, kEcho, std::string(10'000, 'x'));
    REQUIRE(!response.has_value());
    CHECK(response.error().code == Errc::limit_exceeded);
}

TEST_CASE("the caller keeps its side open until it has the answer") {
    static constexpr auto callee = [](p2p::Stream& stream) -> Task<void> {
        const auto request = co_await p2p::read_length_prefixed(stream, 1000);
        REQUIRE(request.has_value());
        REQUIRE(request->has_value());
        const Result<UnaryRequest> decoded = decode_unary_request(**request);
        REQUIRE(decoded.has_value());
        CHECK(decoded->method == kEcho);
        CHECK(std::ranges::equal(decoded->peer, test_peer().bytes()));
        codec::Buffer reply = encode_head(UnaryReply{.id = decoded->id, .data = as_bytes("yes")});
        codec::append(reply, "yes");
        co_await testing::let_others_run();
        co_await send(stream, reply);
        std::byte byte{};
        const MutableBytes into(&byte, 1);
        const Result<std::size_t> end = co_await stream.read_some(into);
        CHECK(end == std::size_t{0});
    };
    static constexpr auto body = [](TaskGroup& group, FakePair& pair) -> Task<void> {
        group.spawn(callee, std::ref(*pair.callee));
        const Response response =
            co_await call_unary_on(std::move(pair.caller), codec::Buffer(3), kLimits);
        CHECK(response == codec::to_buffer(as_bytes("yes")));
        CHECK(!pair.caller_end->reset.has_value());
    };
    FakePair pair = make_fake_pair(kEcho);
    Simulation simulation;
    simulation.run(io::with_group(body, std::ref(pair)));
}

namespace {

// What a caller makes of `answer` and then the callee's FIN.
Errc error_of_answer(const std::string& answer_hex, bool is_reset = false) {
    static constexpr auto callee = [](FakePair& pair, std::string hex, bool resets) -> Task<void> {
        const auto request = co_await p2p::read_length_prefixed(*pair.callee, 1000);
        CHECK(request.has_value());
        co_await send_hex(*pair.callee, hex);
        if (resets)
            pair.callee->reset(p2p::ResetCode::none);
        else
            pair.callee->close();
    };
    static constexpr auto body = [](TaskGroup& group,
                                    FakePair& pair,
                                    std::string hex,
                                    bool resets,
                                    Errc& code) -> Task<void> {
        group.spawn(callee, std::ref(pair), hex, resets);
        const Response response =
            co_await call_unary_on(std::move(pair.caller), codec::Buffer(3), kLimits);
        REQUIRE(!response.has_value());
        code = response.error().code;
    };
    FakePair pair = make_fake_pair(kEcho);
    Simulation simulation;
    Errc code{};
    simulation.run(io::with_group(body, std::ref(pair), answer_hex, is_reset, std::ref(code)));
    return code;
}

}  // namespace

TEST_CASE("an answer that is missing, cut short, malformed or too long is an error of its kind") {
    CHECK(error_of_answer("") == Errc::closed);
    CHECK(error_of_answer("", true) == Errc::closed);
    CHECK(error_of_answer("390a10") == Errc::closed);
    CHECK(error_of_answer("020a00") == Errc::malformed);
    CHECK(error_of_answer("8000") == Errc::malformed);
    CHECK(error_of_answer("914e00") == Errc::limit_exceeded);
    CHECK(error_of_answer("ffffffffffffffff7f") == Errc::limit_exceeded);
}

TEST_CASE("cancelling a unary call resets its stream") {
    static constexpr auto caller = [](std::unique_ptr<p2p::Stream> stream) -> Task<void> {
        (void)co_await call_unary_on(std::move(stream), codec::Buffer(3), kLimits);
    };
    static constexpr auto body = [](TaskGroup& group, FakePair& pair) -> Task<void> {
        group.spawn(caller, std::move(pair.caller));
        co_await testing::let_others_run();
        group.cancel();
    };
    FakePair pair = make_fake_pair(kEcho);
    Simulation simulation;
    simulation.run(io::with_group(body, std::ref(pair)));
    CHECK(pair.caller_end->reset == p2p::ResetCode::none);
}

TEST_CASE(
    "a caller who ends its side, resets or says more is not answered, and its call cancelled") {
    static constexpr auto start_slow = [](World& world, FakePair& pair) -> Task<void> {
        co_await send(*pair.caller, request_bytes(kSlow, "x"));
        co_await testing::let_others_run();
        CHECK(world.fate.is_started);
    };
    static constexpr auto expect_cancelled = [](World& world, FakePair& pair) -> Task<void> {
        co_await expect_silent_end(pair);
        CHECK(world.fate.is_unwound);
        CHECK(!world.fate.is_finished);
        CHECK(world.now() < 10s);
    };
    play_caller([](World& world, FakePair& pair) -> Task<void> {
        co_await start_slow(world, pair);
        (void)co_await pair.caller->shutdown_write();
        co_await expect_cancelled(world, pair);
    });
    play_caller([](World& world, FakePair& pair) -> Task<void> {
        co_await start_slow(world, pair);
        co_await send_hex(*pair.caller, "00");
        co_await expect_cancelled(world, pair);
    });
    play_caller([](World& world, FakePair& pair) -> Task<void> {
        co_await start_slow(world, pair);
        pair.caller->reset(p2p::ResetCode::none);
        co_await testing::let_others_run();
        CHECK(world.fate.is_unwound);
        CHECK(!world.fate.is_finished);
    });
}

TEST_CASE("requests that break the protocol are not answered") {
    static constexpr auto refused = [](std::string hex) {
        World world;
        static constexpr auto body =
            [](TaskGroup& group, World& inner, std::string bytes) -> Task<void> {
            FakePair pair = make_fake_pair(kEcho);
            group.spawn(serve, std::ref(inner.dispatch), std::move(pair.callee));
            co_await send_hex(*pair.caller, bytes);
            co_await expect_silent_end(pair);
        };
        world.simulation.run(io::with_group(body, std::ref(world), hex));
    };
    const std::string id16 = "0a10" + std::string(32, '1');
    refused(
        "19"
        "0a0f" +
        std::string(30, '1') + "1a060a0012011a00");  // inner cut short
    refused(
        "1a"
        "0a0f" +
        std::string(30, '1') + "1a070a001201781a00");  // 15 bytes of id
    refused("12" + id16);                              // no call
    refused("914e" + id16);                            // 10001 bytes
    refused(
        "808080808080808080"
        "01");      // no varint
    refused("00");  // nothing in it
}

TEST_CASE("a request that does not arrive whole in time is given up") {
    play_caller([](World& world, FakePair& pair) -> Task<void> {
        co_await send_hex(*pair.caller, "500a10");
        co_await expect_silent_end(pair);
        CHECK(world.now() == kLimits.request_timeout);
    });
}

TEST_CASE("the envelope's method decides, whatever the stream's protocol is") {
    play_caller([](World& world, FakePair& pair) -> Task<void> {
        co_await send(*pair.caller, request_bytes(kEcho, "hi"));
        const Result<std::string> rest = co_await read_rest(*pair.caller);
        REQUIRE(rest.has_value());
        CHECK(rest->ends_with("hi"));
        CHECK(!world.fate.is_started);
    });
}

TEST_CASE("an unknown method meets silence until the caller leaves, or a while") {
    play_caller([](World& world, FakePair& pair) -> Task<void> {
        co_await send(*pair.caller, request_bytes("Test.rpc_nothing", "x"));
        co_await testing::let_others_run();
        CHECK(world.dispatch.calls_running() == 1);
        (void)co_await pair.caller->shutdown_write();
        co_await expect_silent_end(pair);
        CHECK(world.now() == 0s);
    });
    play_caller([](World& world, FakePair& pair) -> Task<void> {
        co_await send(*pair.caller, request_bytes("Test.rpc_nothing", "x"));
        co_await expect_silent_end(pair);
        CHECK(world.now() == kLimits.request_timeout);
    });
}

TEST_CASE("a call over the limit is reset, and the next one is served when there is room") {
    static constexpr auto body = [](TaskGroup& group, World& world) -> Task<void> {
        std::vector<FakePair> pairs;
        for (int i = 0; i < 4; ++i) {
            FakePair& pair = pairs.emplace_back(make_fake_pair(kSlow));
            group.spawn(serve, std::ref(world.dispatch), std::move(pair.callee));
            if (i < 3) co_await send(*pair.caller, request_bytes(kSlow, "x"));
        }
        co_await testing::let_others_run();
        CHECK(world.dispatch.calls_running() == 3);
        CHECK(pairs.back().callee_end->reset == p2p::ResetCode::resource_limit);
        for (FakePair& pair : pairs)
            pair.caller->close();
        co_await testing::let_others_run();
        CHECK(world.dispatch.calls_running() == 0);
    };
    World world;
    world.simulation.run(io::with_group(body, std::ref(world)));
    CHECK(call_in(world, kEcho, "room").has_value());
}

TEST_CASE("cancelling the server's scope unwinds what it serves") {
    static constexpr auto body = [](TaskGroup& group, World& world) -> Task<void> {
        FakePair pair = make_fake_pair(kSlow);
        group.spawn(serve, std::ref(world.dispatch), std::move(pair.callee));
        co_await send(*pair.caller, request_bytes(kSlow, "x"));
        co_await testing::let_others_run();
        CHECK(world.fate.is_started);
        group.cancel();
    };
    World world;
    world.simulation.run(io::with_group(body, std::ref(world)));
    CHECK(world.fate.is_unwound);
    CHECK(world.dispatch.calls_running() == 0);
}
