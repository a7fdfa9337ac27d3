// Secure WebSockets: the stream, and hosts that meet over it on the port of all else.
#include "p2p/transport/secure_websocket.hpp"

#include <array>
#include <chrono>
#include <functional>

#include <doctest/doctest.h>

#include "http/websocket.hpp"
#include "io/read_exactly.hpp"
#include "p2p/host_world_test.hpp"
#include "testing/memory_stream.hpp"
#include "testing/stream_conformance.hpp"
#include "testing/web_certificates.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;
using io::Task;

using ServerTls = std::shared_ptr<const crypto::WebServerTls>;
using ClientTls = std::shared_ptr<const crypto::WebClientTls>;

constexpr const char* kEcho = "/echo/1.0.0";

ServerTls server_of(std::string_view chain, std::string_view key) {
    return std::make_shared<const crypto::WebServerTls>(
        crypto::WebServerTls::from_pem(as_bytes(chain), as_bytes(key)).value());
}

ServerTls good_server() {
    return server_of(testing::kWebChain, testing::kWebKey);
}

ClientTls believer() {
    return std::make_shared<const crypto::WebClientTls>(
        crypto::WebClientTls::with_authorities(as_bytes(testing::kWebRoot)).value());
}

using Opened = Result<std::unique_ptr<io::Stream>>;

Task<void> connect_into(std::unique_ptr<io::Stream> raw, Opened& opened) {
    auto secured = co_await secure_web_client(std::move(raw), believer(), "node.example");
    REQUIRE(secured.has_value());
    http::WebSocketTarget target{.host = "node.example"};
    const http::WebSocketLimits limits;
    opened =
        co_await http::connect_websocket(std::move(*secured), std::move(target), nullptr, limits);
}

Task<void> accept_into(std::unique_ptr<io::Stream> raw, Opened& opened) {
    auto secured = co_await secure_web_server(std::move(raw), good_server());
    REQUIRE(secured.has_value());
    const http::WebSocketLimits limits;
    opened = co_await http::accept_websocket(std::move(*secured), limits);
}

Task<void> upgrade(io::TaskGroup& group,
                   testing::StreamPair& pair,
                   Opened& client,
                   Opened& server) {
    group.spawn(accept_into, std::move(pair.server), std::ref(server));
    group.spawn(connect_into, std::move(pair.client), std::ref(client));
    co_return;
}

template <std::uint64_t kSeed, bool kIsClientFirst>
Task<void> with_pair(testing::Simulation& simulation, testing::StreamCaseBody body) {
    // Each of the suite's writes of one byte becomes a frame of seven in a record of 29.
    testing::StreamPair pair = testing::make_stream_pair({.seed = kSeed, .capacity = 128 << 10});
    Opened client;
    Opened server;
    co_await io::with_group(upgrade, std::ref(pair), std::ref(client), std::ref(server));
    REQUIRE(client.has_value());
    REQUIRE(server.has_value());
    io::Stream* const first = (kIsClientFirst ? *client : *server).get();
    io::Stream* const second = (kIsClientFirst ? *server : *client).get();
    co_await body(simulation, *first, *second);
}

/// Host 0 believes kWebRoot; host 1 has a certificate, and echoes; host 2 has the system's alone.
template <class Fn>
void run_world(const ServerTls& server, Fn fn) {
    testing::Simulation simulation;
    HostWorld world(simulation,
                    {make_key(0), make_key(1), make_key(2)},
                    Limits(),
                    [&server](std::size_t index, HostOptions& options) {
                        if (index == 0) options.web_client = believer();
                        if (index == 1) options.web_server = server;
                    });
    world.host(1).handle(kEcho, echo);
    world.network().set_name("node.example", {HostWorld::ip(1)});
    simulation.run(io::with_group(&detail::run_body<Fn>, std::ref(world), std::move(fn)));
}

Multiaddr of_second(HostWorld& world, std::string_view text) {
    return Multiaddr::parse(text).value().with_peer(world.host(1).id());
}

/// A byte to the second host and back; how long that took from nothing.
Task<Result<io::Duration>> ask(HostWorld& world) {
    const io::TimePoint begin = world.clock().now();
    KWAAI_CO_TRY(auto stream, co_await world.host(0).open(world.host(1).id(), kEcho));
    std::array<std::byte, 1> byte{};
    const Bytes sent(byte);
    KWAAI_CO_CHECKED(co_await stream->write(sent));
    KWAAI_CO_CHECKED(co_await io::read_exactly(*stream, byte));
    co_return world.clock().now() - begin;
}

Task<std::string> refusal(HostWorld& world, std::string text) {
    const auto connected = co_await world.host(0).connect_again(of_second(world, text));
    REQUIRE_FALSE(connected.has_value());
    CHECK(connected.error().code == Errc::malformed);
    co_return connected.error().context;
}

/// What the second host answers to `text` before it hangs up.
Task<std::string> answer_to(HostWorld& world, std::string text) {
    auto raw = co_await world.dial_raw(0, 1);
    REQUIRE(raw.has_value());
    const Bytes bytes = as_bytes(text);
    const Result<> written = co_await (*raw)->write(bytes);
    CHECK(written.has_value());
    std::string heard;
    std::array<std::byte, 256> into{};
    while (true) {
        const auto count = co_await (*raw)->read_some(into);
        if (!count || *count == 0) co_return heard;
        heard += as_text(Bytes(into).first(*count));
    }
}

TEST_CASE("a WebSocket in TLS is a stream, for the client and for the server") {
    testing::check_stream_conformance(with_pair<0, true>);
    testing::check_stream_conformance(with_pair<0, false>);
}

TEST_CASE("a WebSocket in TLS whose bytes arrive in pieces is a stream") {
    testing::check_stream_conformance(with_pair<3, true>);
}

Task<void> meet_over(const char* target, HostWorld& world) {
    world.set_latency(50ms);
    world.host(0).add_address(world.host(1).id(), of_second(world, target));
    const auto time = co_await ask(world);
    REQUIRE(time.has_value());
    CHECK(*time >= 500ms);  // TCP, TLS, HTTP, Noise, then the answer
    CHECK(*time < 510ms);
    const auto info = co_await world.host(0).identify(world.host(1).id());
    REQUIRE(info.has_value());
    CHECK(info->connected == of_second(world, target));
    REQUIRE(info->observed.has_value());
    CHECK(info->observed->to_text().ends_with("/tls/ws"));
}

TEST_CASE("hosts meet over a secure WebSocket by name, by IP address and by a name said apart") {
    for (const char* text : {"/dns4/node.example/tcp/4001/tls/ws",
                             "/dns4/node.example/tcp/4001/wss",
                             "/ip4/10.0.0.2/tcp/4001/tls/ws",
                             "/ip4/10.0.0.2/tcp/4001/tls/sni/a.wild.example/ws"}) {
        run_world(good_server(), std::bind_front(meet_over, text));
    }
}

TEST_CASE("a host with a certificate tells where it can be believed") {
    run_world(good_server(), [](HostWorld& world) -> Task<void> {
        std::vector<std::string> texts;
        for (const Multiaddr& address : world.host(1).told_addresses())
            texts.push_back(address.to_text());
        CHECK(texts == std::vector<std::string>{"/ip4/10.0.0.2/tcp/4001",
                                                "/ip4/10.0.0.2/tcp/4001/tls/ws",
                                                "/dns4/node.example/tcp/4001/tls/ws",
                                                "/dns4/localhost/tcp/4001/tls/ws"});
        const Multiaddr more = Multiaddr::parse("/ip4/10.0.0.2/tcp/4001/tls/ws").value();
        const Result<> listening = world.host(1).listen(more);
        CHECK(listening.has_value());
        const Result<> refused = world.host(0).listen(more);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == Errc::unsupported);
        co_return;
    });
    const ServerTls tls = good_server();
    CHECK(secure_addresses({.host = "::", .port = 7}, *tls).front().to_text() ==
          "/ip6/::/tcp/7/tls/sni/node.example/ws");
    CHECK(secure_addresses({.host = "::", .port = 7}, *tls).back().to_text() ==
          "/dns6/localhost/tcp/7/tls/ws");
}

Task<void> dial_over(const char* target, HostWorld& world) {
    world.host(0).add_address(world.host(1).id(), of_second(world, target));
    const auto time = co_await ask(world);
    CHECK(time.has_value());
}

TEST_CASE("a plain dial and a WebSocket still work on a port with a certificate") {
    for (const char* text : {"/ip4/10.0.0.2/tcp/4001", "/ip4/10.0.0.2/tcp/4001/ws"}) {
        run_world(good_server(), std::bind_front(dial_over, text));
    }
}

Task<void> be_refused(const char* target, const char* reason, HostWorld& world) {
    const std::string why = co_await refusal(world, target);
    CHECK_MESSAGE(why.contains(reason), why);
}

TEST_CASE(
    "a certificate for others, out of its time or of nobody known ends a dial with the reason") {
    struct Trial {
        ServerTls server;
        const char* target;
        const char* reason;
    };

    const Trial trials[] = {
        {good_server(), "/ip4/10.0.0.2/tcp/4001/tls/sni/b.example/ws", "hostname mismatch"},
        {server_of(testing::kWebOther, testing::kWebOtherKey),
         "/dns4/node.example/tcp/4001/tls/ws",
         "hostname mismatch"},
        {server_of(testing::kWebOther, testing::kWebOtherKey),
         "/ip4/10.0.0.2/tcp/4001/tls/ws",
         "IP address mismatch"},
        {server_of(testing::kWebExpired, testing::kWebExpiredKey),
         "/dns4/node.example/tcp/4001/wss",
         "certificate has expired"},
        {server_of(testing::kWebAlone, testing::kWebAloneKey),
         "/dns4/node.example/tcp/4001/tls/ws",
         "self-signed certificate"},
    };
    for (const Trial& trial : trials)
        run_world(trial.server, std::bind_front(be_refused, trial.target, trial.reason));
}

TEST_CASE("who brings no authority of the tests believes none of their certificates") {
    run_world(good_server(), [](HostWorld& world) -> Task<void> {
        const auto dialled =
            co_await world.host(2).connect_again(of_second(world, "/ip4/10.0.0.2/tcp/4001/tls/ws"));
        REQUIRE_FALSE(dialled.has_value());
        CHECK(dialled.error().code == Errc::malformed);
        CHECK(dialled.error().context.contains("issuer"));
    });
}

TEST_CASE("a port that speaks no TLS is told apart from one with a bad certificate") {
    run_world(nullptr, [](HostWorld& world) -> Task<void> {
        const auto connected =
            co_await world.host(0).connect_again(of_second(world, "/ip4/10.0.0.2/tcp/4001/wss"));
        REQUIRE_FALSE(connected.has_value());
        CHECK(connected.error().code == Errc::closed);
        CHECK(connected.error().context.contains("during the handshake"));
    });
}

TEST_CASE("rubbish in place of TLS is answered with an alert, and others are served") {
    run_world(good_server(), [](HostWorld& world) -> Task<void> {
        const io::TimePoint begin = world.clock().now();
        for (const std::string& text : {std::string("\x16\x03\x01\0\5rubbish", 12),
                                        std::string("\x16\x03\x03\xff\xff", 5),
                                        std::string("\x16\x03\x01\0\4\1\0\0\0", 9)}) {
            const std::string heard = co_await answer_to(world, text);
            CHECK(heard.starts_with("\x15\x03"));
        }
        CHECK(world.clock().now() - begin < 1s);
        const auto silent = co_await answer_to(world, "\x16\x03\x01");
        CHECK(silent.empty());
        CHECK(world.clock().now() - begin >= Limits().handshake_timeout);
        world.host(0).add_address(world.host(1).id(),
                                  of_second(world, "/dns4/node.example/tcp/4001/tls/ws"));
        const auto time = co_await ask(world);
        CHECK(time.has_value());
    });
}

TEST_CASE("what is no WebSocket inside TLS is told so in HTTP") {
    run_world(good_server(), [](HostWorld& world) -> Task<void> {
        auto raw = co_await world.dial_raw(0, 1);
        REQUIRE(raw.has_value());
        auto secured = co_await secure_web_client(std::move(*raw), believer(), "node.example");
        REQUIRE(secured.has_value());
        const Bytes request = as_bytes(std::string_view("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        const Result<> written = co_await (*secured)->write(request);
        CHECK(written.has_value());
        std::array<std::byte, 512> into{};
        const auto count = co_await (*secured)->read_some(into);
        REQUIRE(count.has_value());
        CHECK(as_text(Bytes(into).first(*count)).starts_with("HTTP/1.1 426 "));
    });
}

}  // namespace
}  // namespace kwaai::p2p
