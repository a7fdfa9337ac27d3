// Hosts that meet over WebSocket, on the port that plain connections use as well.
#include <algorithm>
#include <chrono>

#include <doctest/doctest.h>

#include "io/read_exactly.hpp"
#include "p2p/host_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

constexpr const char* kEcho = "/echo/1.0.0";

Multiaddr place(std::size_t index) {
    return Multiaddr::parse("/ip4/" + HostWorld::ip(index) + "/tcp/4001/ws").value();
}

Multiaddr websocket_address(HostWorld& world, std::size_t index) {
    return place(index).with_peer(world.host(index).id());
}

io::Task<void> write_all(Stream& stream, std::vector<std::byte> bytes) {
    const Bytes part(bytes);
    const Result<> written = co_await stream.write(part);
    CHECK(written.has_value());
    const Result<> ended = co_await stream.shutdown_write();
    CHECK(ended.has_value());
}

io::Task<void> read_beside(io::TaskGroup& group, Stream& stream, std::vector<std::byte> sent) {
    group.spawn(write_all, std::ref(stream), sent);
    std::vector<std::byte> back(sent.size());
    const MutableBytes into(back);
    const Result<> is_read = co_await io::read_exactly(stream, into);
    CHECK(is_read.has_value());
    const bool is_equal = back == sent;
    CHECK(is_equal);
    std::array<std::byte, 1> more{};
    const auto end = co_await stream.read_some(more);
    REQUIRE(end.has_value());
    CHECK(*end == 0);
}

/// A megabyte and a bit to the host and back, with a half-close behind it.
io::Task<void> check_echo(Host& from, PeerId to) {
    auto stream = co_await from.open(std::move(to), kEcho);
    REQUIRE(stream.has_value());
    std::vector<std::byte> sent(1'100'001);
    for (std::size_t i = 0; i < sent.size(); ++i)
        sent[i] = static_cast<std::byte>(random_bits(5, i));
    co_await io::with_group(read_beside, std::ref(**stream), sent);
}

/// What the other end says until it hangs up.
io::Task<std::string> hear(io::Stream& stream) {
    std::string heard;
    std::array<std::byte, 256> bytes{};
    while (true) {
        const auto count = co_await stream.read_some(bytes);
        if (!count || *count == 0) co_return heard;
        heard += as_text(Bytes(bytes).first(*count));
    }
}

io::Task<std::unique_ptr<io::Stream>> dial_and_say(HostWorld& world, std::string text) {
    auto raw = co_await world.dial_raw(0, 1);
    REQUIRE(raw.has_value());
    const Bytes bytes = as_bytes(text);
    const Result<> written = co_await (*raw)->write(bytes);
    CHECK(written.has_value());
    co_return std::move(*raw);
}

TEST_CASE("one port takes plain and WebSocket connections, and both carry streams") {
    run_hosts(3, [](HostWorld& world) -> io::Task<void> {
        world.host(1).handle(kEcho, echo);
        world.host(2).handle(kEcho, echo);
        const auto plain = co_await world.host(0).connect(world.address(1));
        REQUIRE(plain.has_value());
        const auto over = co_await world.host(2).connect(websocket_address(world, 1));
        REQUIRE(over.has_value());
        co_await check_echo(world.host(0), *plain);
        co_await check_echo(world.host(2), *over);
        co_await check_echo(world.host(1), world.host(2).id());

        CHECK(world.host(2).peers().front().connected == websocket_address(world, 1));
        const auto seen = world.host(1).peers();
        REQUIRE(seen.size() == 2);
        for (const PeerInfo& peer : seen) {
            const std::string address = peer.connected->without_peer().to_text();
            CHECK(address.ends_with("/ws") == (peer.peer == world.host(2).id()));
        }
        const auto info = co_await world.host(2).identify(*over);
        REQUIRE(info.has_value());
        REQUIRE(info->observed.has_value());
        CHECK(info->observed->to_text().starts_with("/ip4/10.0.0.3/tcp/"));
        CHECK(info->observed->to_text().ends_with("/ws"));
    });
}

TEST_CASE("a dial over WebSocket takes one round trip more") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        world.host(1).handle(kEcho, echo);
        world.set_latency(50ms);
        world.host(0).add_address(world.host(1).id(), websocket_address(world, 1));
        const io::TimePoint begin = world.clock().now();
        auto stream = co_await world.host(0).open(world.host(1).id(), kEcho);
        REQUIRE(stream.has_value());
        std::array<std::byte, 1> byte{};
        const Bytes sent(byte);
        const Result<> written = co_await (*stream)->write(sent);
        REQUIRE(written.has_value());
        const Result<> is_read = co_await io::read_exactly(**stream, byte);
        REQUIRE(is_read.has_value());
        const auto time = world.clock().now() - begin;
        CHECK(time >= 400ms);
        CHECK(time < 410ms);
    });
}

TEST_CASE("a host that listens with /ws says so, beside the plain address of the same port") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        CHECK(world.host(1).addresses().size() == 1);
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        const auto before = co_await world.host(0).identify(*peer);
        REQUIRE(before.has_value());
        CHECK(before->addresses.size() == 1);
        const Result<> listening = world.host(1).listen(place(1));
        REQUIRE(listening.has_value());
        const std::vector<Multiaddr> own = world.host(1).addresses();
        REQUIRE(own.size() == 2);
        CHECK(own[0] == world.address(1));
        CHECK(own[1] == websocket_address(world, 1));
        co_await world.clock().sleep_for(1s);  // it is pushed
        const auto after = co_await world.host(0).identify(*peer);
        REQUIRE(after.has_value());
        REQUIRE(after->addresses.size() == 2);
        CHECK(after->addresses[1] == place(1));
        CHECK(after->is_record_signed);

        const Multiaddr other = Multiaddr::parse("/ip4/10.0.0.2/tcp/0/ws").value();
        const Result<> more = world.host(1).listen(other);
        REQUIRE(more.has_value());
        CHECK(world.host(1).addresses().size() == 4);
        const Multiaddr secure = Multiaddr::parse("/ip4/10.0.0.2/tcp/0/tls/ws").value();
        const Result<> refused = world.host(1).listen(secure);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == Errc::unsupported);
    });
}

TEST_CASE("names lead to WebSockets, too") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        world.network().set_name("node.example", {HostWorld::ip(1)});
        const Multiaddr named = Multiaddr::parse("/dns4/node.example/tcp/4001/ws")
                                    .value()
                                    .with_peer(world.host(1).id());
        const auto peer = co_await world.host(0).connect(named);
        CHECK(peer.has_value());
    });
}

TEST_CASE("rubbish, TLS and requests that are no upgrade are closed, and others are served") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        const io::TimePoint begin = world.clock().now();
        for (const char* text :
             {"rubbish", "\x13rubbish", "POST / HTTP/1.1\r\n\r\n", "\x16\x03\x01"}) {
            const auto raw = co_await dial_and_say(world, text);
            const std::string heard = co_await hear(*raw);
            CHECK(heard.empty());
        }
        const auto raw = co_await dial_and_say(world, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        const std::string heard = co_await hear(*raw);
        CHECK(heard.starts_with("HTTP/1.1 426 "));
        CHECK(world.clock().now() - begin < 1s);
        const auto peer = co_await world.host(0).connect(websocket_address(world, 1));
        CHECK(peer.has_value());
    });
}

TEST_CASE("half an upgrade, and an upgrade without a word behind it, are cut off in time") {
    Limits limits;
    limits.pending_inbound_per_ip_max = 3;
    run_hosts(2, limits, [](HostWorld& world) -> io::Task<void> {
        const std::string half = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websock";
        const std::string whole =
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        const io::TimePoint begin = world.clock().now();
        const auto first = co_await dial_and_say(world, half);
        const auto second = co_await dial_and_say(world, whole);
        const auto third = co_await dial_and_say(world, "G");
        co_await world.clock().sleep_for(1s);
        const auto refused = co_await world.host(0).connect(websocket_address(world, 1));
        CHECK_FALSE(refused.has_value());  // three from this address are waiting
        const std::string nothing = co_await hear(*first);
        CHECK(nothing.empty());
        const std::string agreement = co_await hear(*second);
        CHECK(agreement.starts_with("HTTP/1.1 101 "));
        const std::string silence = co_await hear(*third);
        CHECK(silence.empty());
        const auto time = world.clock().now() - begin;
        CHECK(time >= Limits().handshake_timeout);
        CHECK(time < Limits().handshake_timeout + 1s);
        co_await world.clock().sleep_for(10s);
        const auto peer = co_await world.host(0).connect(websocket_address(world, 1));
        CHECK(peer.has_value());
    });
}

TEST_CASE("a text message, or a frame without a mask, ends a handshake at once") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        const std::string upgrade =
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        const io::TimePoint begin = world.clock().now();
        for (const std::string& frame : {std::string("\x81\x81\0\0\0\0a", 7),
                                         std::string("\x82\x01"
                                                     "a")}) {
            const auto raw = co_await dial_and_say(world, upgrade + frame);
            const std::string heard = co_await hear(*raw);
            CHECK(heard.starts_with("HTTP/1.1 101 "));
            CHECK(heard.find(std::string("\x88\x02\x03")) != std::string::npos);
        }
        CHECK(world.clock().now() - begin < 1s);
    });
}

TEST_CASE("dialling a WebSocket where none is says so; the server is asked for its name") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        static const auto answering = [](io::Listener& listener) -> io::Task<void> {
            auto raw = co_await listener.accept();
            REQUIRE(raw.has_value());
            const Bytes answer = as_bytes("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            const Result<> written = co_await (*raw)->write(answer);
            CHECK(written.has_value());
            const std::string request = co_await hear(**raw);
            CHECK(request.starts_with("GET / HTTP/1.1\r\nHost: node.example:80\r\n"));
        };
        static const auto dialling =
            [](io::TaskGroup& group, HostWorld& own, io::Listener& listener) -> io::Task<void> {
            group.spawn(answering, std::ref(listener));
            const Multiaddr wrong =
                Multiaddr::parse("/dns/node.example/tcp/80/ws").value().with_peer(own.host(1).id());
            const auto peer = co_await own.host(0).connect(wrong);
            REQUIRE_FALSE(peer.has_value());
            CHECK(peer.error().code == Errc::unavailable);
            CHECK(peer.error().context.find("404") != std::string::npos);
        };
        world.network().set_name("node.example", {"10.0.0.2"});
        auto listener = world.network().host("10.0.0.2").listen({.host = "10.0.0.2", .port = 80});
        REQUIRE(listener.has_value());
        co_await io::with_group(dialling, std::ref(world), std::ref(**listener));
    });
}

TEST_CASE("a server that never answers an upgrade is given up, and its address left alone") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        auto listener = world.network().host("10.0.0.2").listen({.host = "10.0.0.2", .port = 80});
        REQUIRE(listener.has_value());  // nobody accepts: the system does
        const Multiaddr silent =
            Multiaddr::parse("/ip4/10.0.0.2/tcp/80/ws").value().with_peer(world.host(1).id());
        const io::TimePoint begin = world.clock().now();
        const auto peer = co_await world.host(0).connect(silent);
        REQUIRE_FALSE(peer.has_value());
        CHECK(peer.error().code == Errc::timed_out);
        CHECK(world.clock().now() - begin >= Limits().dial_local_timeout);
        CHECK(world.clock().now() - begin < Limits().dial_local_timeout + 1s);
        const auto again = co_await world.host(0).connect(silent);
        REQUIRE_FALSE(again.has_value());
        CHECK(again.error().context.find("backing off") != std::string::npos);
    });
}

}  // namespace
}  // namespace kwaai::p2p
