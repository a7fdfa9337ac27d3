// A WebSocket is a stream like any other, seen from both ends.
#include <doctest/doctest.h>

#include "base/random.hpp"
#include "http/websocket.hpp"
#include "io/task_group.hpp"
#include "testing/memory_stream.hpp"
#include "testing/stream_conformance.hpp"

using namespace kwaai;
using namespace kwaai::http;
using io::Task;
using testing::Simulation;
using testing::StreamCaseBody;
using testing::StreamPair;

namespace {

using Opened = Result<std::unique_ptr<io::Stream>>;

Task<void> accept_into(std::unique_ptr<io::Stream> raw, Opened& opened) {
    opened = co_await accept_websocket(std::move(raw), WebSocketLimits());
}

Task<void> connect_into(std::unique_ptr<io::Stream> raw, Opened& opened) {
    WebSocketTarget target{.host = "memory"};
    auto counter = std::make_shared<CounterRandom>(7);
    std::function<void(MutableBytes)> random = [counter](MutableBytes into) {
        for (std::byte& byte : into)
            byte = static_cast<std::byte>(counter->next());
    };
    opened = co_await connect_websocket(
        std::move(raw), std::move(target), std::move(random), WebSocketLimits());
}

Task<void> upgrade(io::TaskGroup& group, StreamPair& pair, Opened& client, Opened& server) {
    group.spawn(accept_into, std::move(pair.server), std::ref(server));
    group.spawn(connect_into, std::move(pair.client), std::ref(client));
    co_return;
}

template <std::uint64_t kSeed, bool kIsClientFirst>
Task<void> with_websocket(Simulation& simulation, StreamCaseBody body) {
    // Each of the suite's writes of one byte becomes a frame of seven.
    StreamPair pair = testing::make_stream_pair({.seed = kSeed, .capacity = 48 << 10});
    Opened client;
    Opened server;
    co_await io::with_group(upgrade, std::ref(pair), std::ref(client), std::ref(server));
    REQUIRE(client.has_value());
    REQUIRE(server.has_value());
    io::Stream* const first = (kIsClientFirst ? *client : *server).get();
    io::Stream* const second = (kIsClientFirst ? *server : *client).get();
    co_await body(simulation, *first, *second);
}

}  // namespace

TEST_CASE("a WebSocket is a stream, for the client and for the server") {
    testing::check_stream_conformance(with_websocket<0, true>);
    testing::check_stream_conformance(with_websocket<0, false>);
}

TEST_CASE("a WebSocket whose bytes arrive in pieces is a stream") {
    testing::check_stream_conformance(with_websocket<3, true>);
    testing::check_stream_conformance(with_websocket<4, false>);
}
