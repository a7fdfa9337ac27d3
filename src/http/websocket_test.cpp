// Peers that upgrade to something else, answer rubbish, ping, or leave.
#include "http/websocket.hpp"

#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "io/task_group.hpp"
#include "io/timeout.hpp"
#include "testing/hex.hpp"
#include "testing/memory_stream.hpp"
#include "testing/simulation.hpp"

using namespace kwaai;
using namespace kwaai::http;
using namespace std::chrono_literals;
using io::Task;
using testing::from_hex;
using testing::Simulation;
using testing::StreamPair;
using testing::to_hex;

namespace {

using Opened = Result<std::unique_ptr<io::Stream>>;

const std::string kUpgrade =
    "GET /any?path HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const std::string kAgreement =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

Task<void> send_text(io::Stream& stream, std::string text) {
    const Bytes bytes = as_bytes(text);
    const Result<> written = co_await stream.write(bytes);
    CHECK(written.has_value());
}

Task<void> send_hex(io::Stream& stream, std::string_view hex) {
    const std::vector<std::byte> data = from_hex(hex);
    const Bytes bytes(data);
    const Result<> written = co_await stream.write(bytes);
    CHECK(written.has_value());
}

/// The next `size` bytes, fewer where the stream ends.
Task<std::string> receive(io::Stream& stream, std::size_t size) {
    std::string text(size, '\0');
    std::size_t filled = 0;
    while (filled < size) {
        const MutableBytes rest = std::as_writable_bytes(std::span(text)).subspan(filled);
        const Result<std::size_t> count = co_await stream.read_some(rest);
        if (!count || *count == 0) break;
        filled += *count;
    }
    text.resize(filled);
    co_return text;
}

Task<std::string> receive_hex(io::Stream& stream, std::size_t size) {
    const std::string text = co_await receive(stream, size);
    co_return to_hex(as_bytes(text));
}

/// A server's WebSocket, and the other end of it, from where bytes come as they are.
struct Server {
    std::unique_ptr<io::Stream> client;
    std::unique_ptr<io::Stream> stream;
};

Task<Server> make_server(std::string_view behind_the_upgrade) {
    StreamPair pair = testing::make_stream_pair();
    std::string request = kUpgrade;
    request += behind_the_upgrade;
    co_await send_text(*pair.client, std::move(request));
    auto opened = co_await accept_websocket(std::move(pair.server), WebSocketLimits());
    REQUIRE(opened.has_value());
    const std::string answer = co_await receive(*pair.client, kAgreement.size());
    CHECK(answer == kAgreement);
    co_return Server{.client = std::move(pair.client), .stream = std::move(*opened)};
}

/// What comes of the first read, after which no other gives more.
Task<Errc> failure_of(io::Stream& stream) {
    std::array<std::byte, 64> buffer{};
    const MutableBytes into(buffer);
    const Result<std::size_t> count = co_await stream.read_some(into);
    REQUIRE_FALSE(count.has_value());
    const Result<std::size_t> again = co_await stream.read_some(into);
    REQUIRE_FALSE(again.has_value());
    CHECK(again.error().code == Errc::closed);
    co_return count.error().code;
}

void on_server(Task<void> (*body)(Server& server)) {
    static const auto running = [](Task<void> (*fn)(Server&)) -> Task<void> {
        Server server = co_await make_server("");
        co_await fn(server);
    };
    Simulation simulation;
    simulation.run(running(body));
}

}  // namespace

TEST_CASE("frames that come together with the upgrade are read") {
    testing::run_task([](Simulation&) -> Task<void> {
        const std::string behind(
            "\x82\x81\x00\x00\x00\x00"
            "a",
            7);
        const Server server = co_await make_server(behind);
        const std::string text = co_await receive(*server.stream, 1);
        CHECK(text == "a");
    });
}

TEST_CASE("a server's write is one frame without a mask, whatever its parts") {
    on_server([](Server& server) -> Task<void> {
        const std::array<Bytes, 4> list = {as_bytes("He"), Bytes(), as_bytes("l"), as_bytes("lo")};
        const std::span<const Bytes> parts(list);
        const Result<> written = co_await server.stream->write(parts);
        REQUIRE(written.has_value());
        const std::string hex = co_await receive_hex(*server.client, 7);
        CHECK(hex == "820548656c6c6f");
    });
}

TEST_CASE("a ping is answered while nobody writes, and a read goes on waiting") {
    on_server([](Server& server) -> Task<void> {
        co_await send_hex(*server.client, "89810000000061");
        co_await send_hex(*server.client, "82810000000062");
        const std::string text = co_await receive(*server.stream, 1);
        CHECK(text == "b");
        co_await send_hex(*server.client, "82810000000063");
        const std::string more = co_await receive(*server.stream, 1);
        CHECK(more == "c");
        const std::string hex = co_await receive_hex(*server.client, 3);
        CHECK(hex == "8a0161");
    });
}

TEST_CASE("a peer's close is the end, and our own end answers it") {
    on_server([](Server& server) -> Task<void> {
        co_await send_hex(*server.client, "88820000000003e9");
        std::array<std::byte, 8> buffer{};
        const MutableBytes into(buffer);
        const Result<std::size_t> count = co_await server.stream->read_some(into);
        REQUIRE(count.has_value());
        CHECK(*count == 0);
        const Result<> shut = co_await server.stream->shutdown_write();
        CHECK(shut.has_value());
        const std::string hex = co_await receive_hex(*server.client, 100);
        CHECK(hex == "880203e9");
        const std::span<const Bytes> nothing;
        const Result<> late = co_await server.stream->write(nothing);
        REQUIRE_FALSE(late.has_value());
        CHECK(late.error().code == Errc::closed);
    });
}

TEST_CASE("what breaks the rules is told with its code, and ends the stream") {
    on_server([](Server& server) -> Task<void> {
        co_await send_hex(*server.client, "8181000000006182810000000062");
        const Errc code = co_await failure_of(*server.stream);
        CHECK(code == Errc::unsupported);
        const std::string hex = co_await receive_hex(*server.client, 100);
        CHECK(hex == "880203eb");
    });
    on_server([](Server& server) -> Task<void> {
        co_await send_hex(*server.client, "82ff000000000010000100000000");
        const Errc code = co_await failure_of(*server.stream);
        CHECK(code == Errc::limit_exceeded);
        const std::string hex = co_await receive_hex(*server.client, 100);
        CHECK(hex == "880203f1");
    });
}

TEST_CASE("a connection that ends inside a frame is broken, between two it has ended") {
    on_server([](Server& server) -> Task<void> {
        co_await send_hex(*server.client, "828200000000");
        server.client->close();
        const Errc code = co_await failure_of(*server.stream);
        CHECK(code == Errc::closed);
    });
    on_server([](Server& server) -> Task<void> {
        server.client->close();
        std::array<std::byte, 8> buffer{};
        const MutableBytes into(buffer);
        const Result<std::size_t> count = co_await server.stream->read_some(into);
        REQUIRE(count.has_value());
        CHECK(*count == 0);
    });
}

TEST_CASE("a peer that floods with pings and reads nothing is waited for, without growing") {
    on_server([](Server& server) -> Task<void> {
        static const auto flood = [](io::Stream& client) -> Task<void> {
            std::vector<std::byte> frames;
            for (int i = 0; i < 30'000; ++i) {
                const std::vector<std::byte> ping = from_hex("8984000000007a7a7a7a");
                frames.insert(frames.end(), ping.begin(), ping.end());
            }
            const Bytes bytes(frames);
            const Result<> written = co_await client.write(bytes);
            CHECK_FALSE(written.has_value());
        };
        static const auto reading = [](io::Stream& stream) -> Task<void> {
            std::array<std::byte, 16> buffer{};
            const MutableBytes into(buffer);
            const Result<std::size_t> count = co_await stream.read_some(into);
            CHECK_FALSE(count.has_value());
        };
        static const auto both = [](io::TaskGroup& group, Server& own) -> Task<void> {
            group.spawn(flood, std::ref(*own.client));
            group.spawn(reading, std::ref(*own.stream));
            co_await testing::let_others_run(60'000);
            CHECK(group.size() == 2);
            own.stream->close();
        };
        co_await io::with_group(both, std::ref(server));
    });
}

TEST_CASE("requests that are no upgrade get an answer in HTTP") {
    struct Case {
        std::string request;
        std::string status;
        Errc code;
    };

    for (const Case& one :
         {Case{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 ", Errc::malformed},
          Case{"GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 400 ", Errc::malformed},
          Case{"GET /" + std::string(9000, 'x'), "HTTP/1.1 431 ", Errc::limit_exceeded},
          Case{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
               "HTTP/1.1 413 ",
               Errc::malformed}}) {
        CAPTURE(one.request.substr(0, 40));
        static const auto trying = [](const Case& what) -> Task<void> {
            StreamPair pair = testing::make_stream_pair();
            co_await send_text(*pair.client, what.request);
            const auto opened =
                co_await accept_websocket(std::move(pair.server), WebSocketLimits());
            REQUIRE_FALSE(opened.has_value());
            CHECK(opened.error().code == what.code);
            const std::string answer = co_await receive(*pair.client, 4096);
            CHECK(answer.starts_with(what.status));
        };
        Simulation simulation;
        simulation.run(trying(one));
    }
}

TEST_CASE("a client says why a server's answer is no WebSocket") {
    struct Case {
        std::string answer;
        Errc code;
    };

    for (const Case& one :
         {Case{"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n", Errc::unavailable},
          Case{kAgreement, Errc::malformed},  // to another key
          Case{"\x13/multistream/1.0.0\n", Errc::malformed},
          Case{"HTTP/1.1 101 S\r\nX: " + std::string(9000, 'x'), Errc::limit_exceeded},
          Case{"HTTP/1.1 101 Switching", Errc::closed}}) {
        CAPTURE(one.answer.substr(0, 40));
        static const auto trying = [](const Case& what) -> Task<void> {
            StreamPair pair = testing::make_stream_pair();
            co_await send_text(*pair.server, what.answer);
            const Result<> shut = co_await pair.server->shutdown_write();
            CHECK(shut.has_value());
            WebSocketTarget target{.host = "here"};
            const auto opened = co_await connect_websocket(
                std::move(pair.client), std::move(target), nullptr, WebSocketLimits());
            REQUIRE_FALSE(opened.has_value());
            CHECK(opened.error().code == what.code);
        };
        Simulation simulation;
        simulation.run(trying(one));
    }
}
