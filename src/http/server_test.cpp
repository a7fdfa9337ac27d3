// One connection: framing, keep-alive, clients that go away, limits. All on virtual time.
#include "http/server.hpp"

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "http/world_test.hpp"
#include "io/timeout.hpp"
#include "testing/fixtures.hpp"

using namespace kwaai;
using namespace kwaai::http;
using namespace std::chrono_literals;
using io::Stream;
using io::Task;
using testing::StreamPairOptions;

namespace {

constexpr std::string_view kHello =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";

using Log = std::vector<std::string>;

}  // namespace

TEST_CASE("a request is answered, and the connection stays open for the next") {
    World world;
    world.converse([](World&, Stream& client) -> Task<void> {
        for (int i = 0; i < 3; ++i) {
            co_await send(client, get("/hello"));
            const std::string answer = co_await read_until(client, "hello");
            CHECK(answer == kHello);
        }
        client.close();
    });
    CHECK(world.server.stats().requests == 3);
    CHECK(world.seconds() == 0.0);
}

TEST_CASE("pipelined requests, split anywhere, are answered in order") {
    const std::uint64_t seed = testing::seed(1);
    for (std::uint64_t i = 0; i < 50; ++i) {
        CAPTURE(i);
        World world(Limits(), StreamPairOptions{.seed = seed + i, .capacity = 64});
        world.converse([](World& w, Stream& client) -> Task<void> {
            static const auto ask = [](Stream& to) -> Task<void> {
                co_await send(to,
                              get("/hello") +
                                  "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" +
                                  get("/stream") + get("/hello", "Connection: close\r\n"));
            };
            static const auto both =
                [](io::TaskGroup& group, Stream& stream, std::string& text) -> Task<void> {
                group.spawn(ask, std::ref(stream));
                text = co_await read_all(stream);
            };
            std::string answer;
            co_await io::with_group(both, std::ref(client), std::ref(answer));
            CHECK(answer.starts_with(std::string(kHello) + "HTTP/1.1 200 OK\r\n"));
            CHECK(answer.contains("\r\n\r\nabcHTTP/1.1 200 OK\r\n"));
            CHECK(answer.contains(
                "8\r\nchunk 0\n\r\n8\r\nchunk 1\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
            CHECK(answer.ends_with("Connection: close\r\n\r\nhello"));
            CHECK(w.handler.log == Log{"GET /hello", "POST /echo", "GET /stream", "GET /hello"});
        });
    }
}

TEST_CASE("a stream is chunked in HTTP/1.1, and each chunk is sent when it is written") {
    World world;
    world.converse([](World& w, Stream& client) -> Task<void> {
        co_await send(client, get("/stream"));
        const std::string head = co_await read_until(client, "\r\n\r\n");
        CHECK(head ==
              "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
              "chunked\r\n\r\n");
        const std::string first = co_await read_until(client, "\n\r\n");
        CHECK(first == "8\r\nchunk 0\n\r\n");
        CHECK(w.seconds() == 0.0);
        const std::string rest = co_await read_until(client, "0\r\n\r\n");
        CHECK(rest == "8\r\nchunk 1\n\r\n0\r\n\r\n");
        CHECK(w.seconds() == 1.0);
        client.close();
    });
}

TEST_CASE("in HTTP/1.0 a stream ends with the connection, and keep-alive must be asked for") {
    World world;
    world.converse([](World&, Stream& client) -> Task<void> {
        co_await send(client, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        const std::string first = co_await read_until(client, "hello");
        CHECK(first.contains("Connection: keep-alive\r\n"));
        co_await send(client, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        const std::string answer = co_await read_all(client);
        CHECK(answer.contains("Connection: close\r\n"));
        CHECK(answer.ends_with("\r\n\r\nchunk 0\nchunk 1\n"));
        CHECK(!answer.contains("chunked"));
        client.close();
    });
}

TEST_CASE("HEAD gets the head alone, with the length of the body") {
    World world;
    world.converse([](World&, Stream& client) -> Task<void> {
        co_await send(client, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        co_await send(client, "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
        co_await send(client, get("/empty", "Connection: close\r\n"));
        const std::string answer = co_await read_all(client);
        CHECK(answer ==
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"
              "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
              "chunked\r\n\r\n"
              "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        client.close();
    });
}

TEST_CASE("a client that expects 100-continue is told to go on before it sends the body") {
    World world;
    world.converse([](World&, Stream& client) -> Task<void> {
        co_await send(client,
                      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                      "Expect: 100-continue\r\nConnection: close\r\n\r\n");
        const std::string interim = co_await read_until(client, "\r\n\r\n");
        CHECK(interim == "HTTP/1.1 100 Continue\r\n\r\n");
        co_await send(client, "ok");
        const std::string answer = co_await read_all(client);
        CHECK(answer.ends_with("\r\n\r\nok"));
        client.close();
    });
}

TEST_CASE("a handler that waits is cancelled at once when its client goes away") {
    World world;
    world.converse([](World& w, Stream& client) -> Task<void> {
        co_await send(client, get("/think"));
        co_await w.simulation.clock().sleep_for(5s);
        CHECK(w.server.stats().exchanges == 1);
        client.close();
        co_await testing::let_others_run(3);
        CHECK(w.handler.log == Log{"GET /think", "cancelled /think"});
    });
    CHECK(world.seconds() == 5.0);
}

TEST_CASE("a handler in the middle of a stream is cancelled at once when its client goes away") {
    World world;
    world.converse([](World& w, Stream& client) -> Task<void> {
        co_await send(client, get("/forever"));
        (void)co_await read_until(client, "chunk 3\n");
        client.close();
        co_await testing::let_others_run(3);
        CHECK(w.handler.log == Log{"GET /forever", "cancelled /forever"});
    });
    CHECK(world.seconds() == 3.0);
}

TEST_CASE("a client that ends its side right after the request still gets an immediate answer") {
    World world;
    world.converse([](World&, Stream& client) -> Task<void> {
        co_await send(client, get("/hello") + get("/hello"));
        const Result<> ended = co_await client.shutdown_write();
        CHECK(ended.has_value());
        const std::string answer = co_await read_all(client);
        CHECK(answer == std::string(kHello) + std::string(kHello));
        client.close();
    });
}

TEST_CASE(
    "a handler that fails or stays silent costs its client status 500, and nobody else anything") {
    World world;
    world.converse([](World&, Stream& client) -> Task<void> {
        for (const char* path : {"/throw", "/silent", "/inject"}) {
            co_await send(client, get(path));
            const std::string answer = co_await read_until(client, "failed to answer.\n");
            CHECK(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
        }
        co_await send(client, get("/hello"));
        const std::string answer = co_await read_until(client, "hello");
        CHECK(answer == kHello);
        client.close();
    });
}

TEST_CASE("a handler that would wait for a client that has already gone is cancelled at once") {
    World world;
    world.converse([](World& w, Stream& client) -> Task<void> {
        co_await send(client, get("/think"));
        client.close();
        co_await testing::let_others_run();
        CHECK(w.handler.log == Log{"GET /think", "cancelled /think"});
    });
    CHECK(world.seconds() == 0.0);
}

TEST_CASE("after a write has failed nothing more is written") {
    World world(Limits(), StreamPairOptions{.seed = 0, .capacity = 300});
    world.converse([](World& w, Stream& client) -> Task<void> {
        co_await send(client, get("/stubborn"));
        co_await w.simulation.clock().sleep_for(31s);
        CHECK(w.server.stats().connections == 0);
        const std::string answer = co_await read_all(client);
        CHECK(answer.size() == 300);
        client.close();
    });
    CHECK(world.handler.last_error == "the client is gone");
}

TEST_CASE("what one request's body took of the common limit is given back") {
    World world({.bodies_bytes_max = 100});
    world.converse([](World& w, Stream& client) -> Task<void> {
        const std::string body(60, 'a');
        const std::string request =
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n" + body;
        co_await send(client, request);
        (void)co_await read_until(client, body);
        // A connection that rests keeps nothing from the others.
        testing::StreamPair other = testing::make_stream_pair();
        static const auto both = [](io::TaskGroup& group,
                                    World& all,
                                    testing::StreamPair& pair,
                                    const std::string& text) -> Task<void> {
            static const auto serving = [](Server& server, std::unique_ptr<Stream> stream) {
                return server.serve_connection(std::move(stream));
            };
            group.spawn(serving, std::ref(all.server), std::move(pair.server));
            co_await send(*pair.client, text);
            const std::string answer = co_await read_until(*pair.client, std::string(60, 'a'));
            CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
            pair.client->close();
        };
        co_await io::with_group(both, std::ref(w), std::ref(other), std::cref(request));
        client.close();
    });
}

TEST_CASE("a header value with a line end is not sent") {
    World world;
    world.converse([](World&, Stream& client) -> Task<void> {
        co_await send(client, get("/inject", "Connection: close\r\n"));
        const std::string answer = co_await read_all(client);
        CHECK(!answer.contains("Set-Cookie"));
        client.close();
    });
    CHECK(world.handler.last_error.contains("\"X-Name\""));
}

TEST_CASE("a malformed request gets 400 with a reason, and the connection ends") {
    World world;
    world.converse([](World&, Stream& client) -> Task<void> {
        co_await send(client, "GET /hello HTTP/1.1\r\n\r\n" + get("/hello"));
        const std::string answer = co_await read_all(client);
        CHECK(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        CHECK(answer.contains("Connection: close\r\n"));
        CHECK(answer.ends_with("\r\n\r\nA request must have one Host header.\n"));
        client.close();
    });
    CHECK(world.handler.log.empty());
    CHECK(world.server.stats().bad_requests == 1);
}

TEST_CASE("a header beyond the limit gets 431") {
    World world({.header_bytes_max = 256});
    world.converse([](World&, Stream& client) -> Task<void> {
        co_await send(client, get("/hello", "X: " + std::string(10'000, 'x') + "\r\n"));
        const std::string answer = co_await read_all(client);
        CHECK(answer.starts_with("HTTP/1.1 431 "));
        client.close();
    });
}

TEST_CASE(
    "a body beyond the limit gets 413 before it has been sent, also in place of 100-continue") {
    World world({.body_bytes_max = 1000});
    for (int i = 0; i < 2; ++i)
        world.converse([](World& w, Stream& client) -> Task<void> {
            const bool is_second = w.server.stats().bad_requests == 1;
            co_await send(
                client,
                std::string("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n") +
                    (is_second ? "Expect: 100-continue\r\n" : "") + "\r\n");
            const std::string answer = co_await read_all(client);
            CHECK(answer.starts_with("HTTP/1.1 413 Content Too Large\r\n"));
            CHECK(answer.ends_with("\r\n\r\nThe body is larger than 1000 bytes.\n"));
            client.close();
        });
    CHECK(world.server.stats().bad_requests == 2);
}

TEST_CASE("a client that goes on sending after it was refused still reads the answer") {
    World world({.body_bytes_max = 1000}, StreamPairOptions{.seed = 7, .capacity = 100});
    world.converse([](World&, Stream& client) -> Task<void> {
        co_await send(client,
                      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" +
                          std::string(5000, 'b'));
        const std::string answer = co_await read_all(client);
        CHECK(answer.starts_with("HTTP/1.1 413 "));
        client.close();
    });
}

TEST_CASE("the extensions of a chunk and the trailer are bounded") {
    for (const char* start : {"5;", "0\r\nX: "}) {
        CAPTURE(start);
        static std::string tail;
        tail = start;
        World world({.header_bytes_max = 512});
        world.converse([](World&, Stream& client) -> Task<void> {
            co_await send(client,
                          "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
                              tail + std::string(20'000, 'x'));
            const std::string answer = co_await read_all(client);
            CHECK(answer.starts_with("HTTP/1.1 4"));
            client.close();
        });
        CHECK(world.server.stats().bad_requests == 1);
    }
}

TEST_CASE("a connection without a request is closed after the idle timeout") {
    World world;
    world.converse([](World& w, Stream& client) -> Task<void> {
        co_await send(client, get("/hello"));
        const std::string answer = co_await read_all(client);
        CHECK(answer == kHello);
        CHECK(w.seconds() == 75.0);
    });
}

TEST_CASE("a header that comes too slowly gets 408, however many bytes keep trickling in") {
    World world;
    world.converse([](World& w, Stream& client) -> Task<void> {
        for (const char c : get("/hello").substr(0, 15)) {
            const Result<> written = co_await client.write(as_bytes(std::string_view(&c, 1)));
            if (!written) break;
            co_await w.simulation.clock().sleep_for(1s);
        }
        const std::string answer = co_await read_all(client);
        CHECK(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
        client.close();
    });
    CHECK(world.seconds() <= 15.0);
}

TEST_CASE("a body that comes too slowly gets 408") {
    World world;
    world.converse([](World& w, Stream& client) -> Task<void> {
        co_await send(client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
        const std::string answer = co_await read_all(client);
        CHECK(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
        CHECK(w.seconds() == 60.0);
        client.close();
    });
}

TEST_CASE("a client that takes no bytes for the write timeout loses its connection") {
    World world(Limits(), StreamPairOptions{.seed = 0, .capacity = 300});
    world.converse([](World& w, Stream& client) -> Task<void> {
        co_await send(client, get("/forever"));
        co_await w.simulation.clock().sleep_for(10min);
        CHECK(w.server.stats().connections == 0);
        CHECK(w.handler.last_error == "no answer within 30 s");
        client.close();
    });
}

TEST_CASE(
    "a client that neither reads nor leaves after a refusal is left after the linger timeout") {
    World world;
    world.converse([](World& w, Stream& client) -> Task<void> {
        co_await send(client, "nonsense\r\n\r\n");
        co_await w.simulation.clock().sleep_for(999ms);
        CHECK(w.server.stats().connections == 1);
        co_await w.simulation.clock().sleep_for(2ms);
        CHECK(w.server.stats().connections == 0);
        client.close();
    });
}

TEST_CASE("all bodies together are bounded") {
    World world({.bodies_bytes_max = 100});
    world.converse([](World&, Stream& client) -> Task<void> {
        const std::string head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ";
        co_await send(client, head + "100\r\n\r\n" + std::string(100, 'a'));
        const std::string first = co_await read_until(client, std::string(100, 'a'));
        CHECK(first.starts_with("HTTP/1.1 200 OK\r\n"));
        co_await send(client, head + "101\r\n\r\n" + std::string(101, 'a'));
        const std::string second = co_await read_all(client);
        CHECK(second.starts_with("HTTP/1.1 503 "));
        client.close();
    });
}
