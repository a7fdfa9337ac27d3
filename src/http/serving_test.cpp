// Many connections: the limit on them, failures of the listener, the end of the server.
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "http/client.hpp"
#include "http/world_test.hpp"

using namespace kwaai;
using namespace kwaai::http;
using namespace std::chrono_literals;
using io::Task;
using testing::MemoryListener;
using testing::StreamPairOptions;

namespace {

using Log = std::vector<std::string>;
using Scene = Task<void> (*)(World& world, MemoryListener& listener);

// Runs Server::serve on a memory listener while `scene` plays; the scene stops the server.
Result<> play(World& world, Scene scene) {
    static const auto serving =
        [](World& w, MemoryListener& listener, Result<>& outcome) -> Task<void> {
        outcome = co_await w.server.serve(listener);
    };
    static const auto body = [](io::TaskGroup& group,
                                World& w,
                                MemoryListener& listener,
                                Result<>& outcome,
                                Scene act) -> Task<void> {
        group.spawn(serving, std::ref(w), std::ref(listener), std::ref(outcome));
        co_await act(w, listener);
    };
    MemoryListener listener(StreamPairOptions{.seed = 1});
    Result<> outcome;
    world.simulation.run(
        io::with_group(body, std::ref(world), std::ref(listener), std::ref(outcome), scene));
    CHECK(world.server.stats().connections == 0);
    return outcome;
}

ClientRequest request_for(std::string path) {
    return ClientRequest{
        .method = "GET", .host = "a", .path = std::move(path), .headers = {}, .body = {}};
}

}  // namespace

TEST_CASE("connections beyond the limit are told 503 and closed; the others are served on") {
    World world({.connections_max = 2});
    const Result<> outcome = play(world, [](World& w, MemoryListener& listener) -> Task<void> {
        const auto first = listener.connect();
        const auto second = listener.connect();
        co_await send(*first, get("/hello"));
        (void)co_await read_until(*first, "hello");
        const auto third = listener.connect();
        const std::string refused = co_await read_all(*third);
        CHECK(refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        CHECK(refused.contains("Connection: close\r\n"));
        third->close();
        first->close();
        co_await testing::let_others_run();
        const auto fourth = listener.connect();
        co_await send(*fourth, get("/hello"));
        const std::string served = co_await read_until(*fourth, "hello");
        CHECK(served.starts_with("HTTP/1.1 200 OK\r\n"));
        w.server.stop(1s);
    });
    CHECK(outcome.has_value());
    CHECK(world.server.stats().refused == 1);
}

TEST_CASE("so many refusals are told at a time; connections beyond that are just closed") {
    World world({.connections_max = 1, .refusals_max = 1});
    const Result<> outcome = play(world, [](World& w, MemoryListener& listener) -> Task<void> {
        const auto served = listener.connect();
        const auto told = listener.connect();
        const auto dropped = listener.connect();
        const std::string nothing = co_await read_all(*dropped);
        CHECK(nothing.empty());
        const std::string reason = co_await read_all(*told);
        CHECK(reason.starts_with("HTTP/1.1 503 "));
        w.server.stop(1s);
    });
    CHECK(outcome.has_value());
    CHECK(world.server.stats().refused == 2);
}

TEST_CASE("stopping closes idle connections and the listener at once") {
    World world;
    const Result<> outcome = play(world, [](World& w, MemoryListener& listener) -> Task<void> {
        const auto fresh = listener.connect();
        const auto used = listener.connect();
        co_await send(*used, get("/hello"));
        (void)co_await read_until(*used, "hello");
        w.server.stop(1h);
        const std::string end_of_fresh = co_await read_all(*fresh);
        CHECK(end_of_fresh.empty());
        const std::string end_of_used = co_await read_all(*used);
        CHECK(end_of_used.empty());
        CHECK(listener.is_closed());
    });
    CHECK(outcome.has_value());
    CHECK(world.seconds() == 0.0);
}

TEST_CASE(
    "stopping lets begun requests and running exchanges finish, and says that the connection "
    "ends") {
    World world;
    const Result<> outcome = play(world, [](World& w, MemoryListener& listener) -> Task<void> {
        const auto client = listener.connect();
        co_await send(*client, get("/stream"));
        (void)co_await read_until(*client, "chunk 0\n");
        const auto late = listener.connect();
        co_await send(*late, "GET /hel");
        co_await testing::let_others_run();
        w.server.stop(10s);
        const std::string rest = co_await read_all(*client);
        CHECK(rest.ends_with("chunk 1\n\r\n0\r\n\r\n"));
        co_await send(*late, "lo HTTP/1.1\r\nHost: a\r\n\r\n");
        const std::string last = co_await read_all(*late);
        CHECK(last.contains("\r\nConnection: close\r\n"));
        CHECK(last.ends_with("hello"));
    });
    CHECK(outcome.has_value());
    CHECK(world.seconds() < 3.0);
    CHECK(world.handler.log == Log{"GET /stream", "GET /hello"});
}

TEST_CASE("exchanges that outlast the grace are cancelled") {
    World world;
    const Result<> outcome = play(world, [](World& w, MemoryListener& listener) -> Task<void> {
        const auto client = listener.connect();
        co_await send(*client, get("/think"));
        co_await testing::let_others_run();
        w.server.stop(1h);
        w.server.stop(10s);
        w.server.stop(2h);
        const std::string nothing = co_await read_all(*client);
        CHECK(nothing.empty());
    });
    CHECK(outcome.has_value());
    CHECK(world.seconds() == 10.0);
    CHECK(world.handler.log == Log{"GET /think", "cancelled /think"});
}

TEST_CASE(
    "a listener that fails for a moment is asked again; one that fails for good ends the server") {
    World world;
    const Result<> outcome = play(world, [](World&, MemoryListener& listener) -> Task<void> {
        listener.fail_next(Error{Errc::unavailable, "too many open files"});
        const auto client = listener.connect();
        co_await send(*client, get("/hello"));
        const std::string answer = co_await read_until(*client, "hello");
        CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
        listener.fail_next(Error{Errc::io, "the network card is gone"});
        const std::string end = co_await read_all(*client);
        CHECK(end.empty());
    });
    REQUIRE(!outcome.has_value());
    CHECK(outcome.error().context == "the network card is gone");
    CHECK(world.seconds() == 0.05);
}

TEST_CASE("the client reads whole answers and streams, and names what went wrong") {
    World world({.body_bytes_max = 100});
    const Result<> outcome = play(world, [](World& w, MemoryListener& listener) -> Task<void> {
        io::Clock& clock = w.simulation.clock();
        {
            const auto stream = listener.connect();
            ClientRequest request = request_for("/stream");
            const Result<Response> got = co_await fetch(clock, *stream, std::move(request));
            REQUIRE(got.has_value());
            CHECK(got->status == 200);
            CHECK(got->headers.find("content-type") == "text/event-stream");
            CHECK(got->body == "chunk 0\nchunk 1\n");
        }
        {
            const auto stream = listener.connect();
            ClientRequest request = request_for("/echo");
            request.method = "POST";
            request.body = std::string(200'000, 'b');
            const Result<Response> got = co_await fetch(clock, *stream, std::move(request));
            REQUIRE(got.has_value());
            CHECK(got->status == 413);
        }
        {
            const auto stream = listener.connect();
            std::string pieces;
            std::function<bool(std::string_view)> sink = [&pieces](std::string_view piece) {
                pieces += piece;
                return !pieces.contains("chunk 2");
            };
            ClientRequest request = request_for("/forever");
            const ClientLimits limits;
            const Result<Response> got =
                co_await fetch(clock, *stream, std::move(request), limits, std::move(sink));
            REQUIRE(got.has_value());
            CHECK(got->body.empty());
            CHECK(pieces.starts_with("chunk 0\nchunk 1\nchunk 2"));
        }
        {
            const auto stream = listener.connect();
            ClientRequest request = request_for("/think");
            const Result<Response> got = co_await fetch(clock, *stream, std::move(request));
            REQUIRE(!got.has_value());
            CHECK(got.error().code == Errc::timed_out);
        }
        w.server.stop(0s);
    });
    CHECK(outcome.has_value());
}
