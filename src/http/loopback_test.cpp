// The server on real sockets: what a memory stream cannot show.
#include <functional>
#include <string>

#include <doctest/doctest.h>

#include "http/client.hpp"
#include "http/server.hpp"
#include "http/world_test.hpp"
#include "io/event.hpp"
#include "io/loop.hpp"
#include "io/task_group.hpp"
#include "io/tcp.hpp"

using namespace kwaai;
using namespace kwaai::http;
using namespace std::chrono_literals;
using io::Loop;
using io::Task;
using io::TaskGroup;

namespace {

// Answers /hello; streams on /stream until it is cancelled, and says so.
class SocketHandler final : public Handler {
public:
    explicit SocketHandler(io::Clock& clock) : clock_(clock) {}

    Task<void> handle(const Request& request, Exchange& exchange) override {
        if (request.path == "/hello") {
            (void)co_await exchange.respond(200, "text/plain", "hello");
            co_return;
        }

        struct Note {
            SocketHandler& handler;

            ~Note() {
                handler.is_cancelled = true;
                handler.changed.notify_all();
            }
        };

        const Note note{*this};
        Result<> sent = co_await exchange.start_stream(200, "text/event-stream");
        if (sent) sent = co_await exchange.write_chunk("data: first\n\n");
        co_await clock_.sleep_for(1h);
    }

    bool is_cancelled = false;
    io::Event changed;

private:
    io::Clock& clock_;
};

using Scene = Task<void> (*)(Loop& loop, SocketHandler& handler, const io::Address& address);

Task<void> serve_all(Server& server, io::Listener& listener) {
    const Result<> served = co_await server.serve(listener);
    CHECK(served.has_value());
}

Task<void> stage(Loop& loop, SocketHandler& handler, io::Listener& listener, Scene act) {
    Server server(loop.clock(), handler, Limits());
    const Result<io::Address> address = io::parse_address(listener.local_address());
    static const auto body = [](TaskGroup& inner,
                                Server& serving,
                                io::Listener& on,
                                Loop& where,
                                SocketHandler& how,
                                const io::Address& at,
                                Scene scene) -> Task<void> {
        inner.spawn(serve_all, std::ref(serving), std::ref(on));
        co_await scene(where, how, at);
        serving.stop(10s);
    };
    co_await io::with_group(body,
                            std::ref(server),
                            std::ref(listener),
                            std::ref(loop),
                            std::ref(handler),
                            std::cref(*address),
                            act);
}

// Serves on a port of the system's choice while `scene` plays, then stops.
void play(Scene scene) {
    Loop loop;
    SocketHandler handler(loop.clock());
    const auto listener = io::listen_tcp(loop, io::Address{.host = "127.0.0.1", .port = 0});
    REQUIRE(listener.has_value());
    loop.run(stage(loop, handler, **listener, scene));
}

}  // namespace

TEST_CASE("loopback: a hundred clients at the same time are all answered") {
    static const auto ask =
        [](Loop& loop, const io::Address& address, int& answered) -> Task<void> {
        const auto stream = co_await io::connect_tcp(loop, address);
        REQUIRE(stream.has_value());
        ClientRequest request;
        request.host = "localhost";
        request.path = "/hello";
        const Result<Response> response =
            co_await fetch(loop.clock(), **stream, std::move(request));
        REQUIRE(response.has_value());
        CHECK(response->status == 200);
        CHECK(response->body == "hello");
        ++answered;
    };
    play([](Loop& loop, SocketHandler&, const io::Address& address) -> Task<void> {
        static const auto all =
            [](TaskGroup& group, Loop& where, const io::Address& at, int& count) -> Task<void> {
            for (int i = 0; i < 100; ++i)
                group.spawn(ask, std::ref(where), std::cref(at), std::ref(count));
            co_return;
        };
        int answered = 0;
        co_await io::with_group(all, std::ref(loop), std::cref(address), std::ref(answered));
        CHECK(answered == 100);
    });
}

TEST_CASE("loopback: the handler of a stream is cancelled when the client closes its socket") {
    play([](Loop& loop, SocketHandler& handler, const io::Address& address) -> Task<void> {
        {
            const auto stream = co_await io::connect_tcp(loop, address);
            REQUIRE(stream.has_value());
            co_await send(**stream, get("/stream"));
            const std::string start = co_await read_until(**stream, "first\n\n");
            CHECK(start.contains("data: first"));
            CHECK(!handler.is_cancelled);
        }
        while (!handler.is_cancelled)
            co_await handler.changed.wait();
    });
}

TEST_CASE("loopback: a client that is refused in the middle of its body reads why") {
    play([](Loop& loop, SocketHandler&, const io::Address& address) -> Task<void> {
        const auto stream = co_await io::connect_tcp(loop, address);
        REQUIRE(stream.has_value());
        ClientRequest request;
        request.method = "POST";
        request.host = "localhost";
        request.body = std::string(std::size_t{9} << 20, 'b');
        const Result<Response> response =
            co_await fetch(loop.clock(), **stream, std::move(request));
        REQUIRE(response.has_value());
        CHECK(response->status == 413);
    });
}
