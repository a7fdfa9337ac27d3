#include "p2p/host.hpp"

#include <algorithm>

#include <doctest/doctest.h>

#include "io/read_exactly.hpp"
#include "io/task_group.hpp"
#include "p2p/envelope.hpp"
#include "p2p/host_world_test.hpp"
#include "p2p/length_prefixed.hpp"
#include "p2p/protocol/identify_wire.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

/// Writes bytes and takes as many back.
io::Task<Result<>> echo_back(Stream& stream, MutableBytes bytes) {
    const Bytes sent(bytes);
    KWAAI_CO_CHECKED(co_await stream.write(sent));
    Result<> is_read = co_await io::read_exactly(stream, bytes);
    co_return is_read;
}

TEST_CASE("a stream of a protocol reaches the handler, and its bytes come back") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        world.host(1).handle("/echo/1.0.0", echo);
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        auto stream = co_await world.host(0).open(*peer, "/echo/1.0.0");
        REQUIRE(stream.has_value());
        CHECK((*stream)->remote_peer() == world.host(1).id());
        const std::string text = "over the network and back";
        const Bytes bytes = as_bytes(text);
        const Result<> written = co_await (*stream)->write(bytes);
        REQUIRE(written.has_value());
        std::string back(text.size(), '\0');
        const MutableBytes into = std::as_writable_bytes(std::span(back));
        const Result<> is_read = co_await io::read_exactly(**stream, into);
        REQUIRE(is_read.has_value());
        CHECK(back == text);
    });
}

TEST_CASE(
    "a protocol without a slash works, and one that nobody speaks is refused at the first read") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        world.host(1).handle("DHTProtocol.rpc_ping", echo);
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        auto known = co_await world.host(0).open(*peer, "DHTProtocol.rpc_ping");
        REQUIRE(known.has_value());
        std::array<std::byte, 4> bytes{};
        const Result<> is_read = co_await echo_back(**known, bytes);
        CHECK(is_read.has_value());

        auto unknown = co_await world.host(0).open(*peer, "/nobody/1.0.0");
        REQUIRE(unknown.has_value());
        const auto count = co_await (*unknown)->read_some(bytes);
        REQUIRE_FALSE(count.has_value());
        CHECK(count.error().code == Errc::unsupported);

        const OpenOptions eager{.is_lazy = false};
        const auto refused = co_await world.host(0).open(*peer, "/nobody/1.0.0", eager);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == Errc::unsupported);
    });
}

TEST_CASE("the first reply byte of a new connection comes after three round trips") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        world.host(1).handle("/echo/1.0.0", echo);
        world.set_latency(50ms);
        world.host(0).add_address(world.host(1).id(), world.address(1));
        const io::TimePoint begin = world.clock().now();
        auto stream = co_await world.host(0).open(world.host(1).id(), "/echo/1.0.0");
        REQUIRE(stream.has_value());
        std::array<std::byte, 1> byte{};
        const Result<> is_read = co_await echo_back(**stream, byte);
        REQUIRE(is_read.has_value());
        const auto time = world.clock().now() - begin;
        CHECK(time >= 300ms);
        CHECK(time < 310ms);
    });
}

TEST_CASE("identify tells agent, protocols, addresses and what the peer sees of us") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        world.host(1).handle("Some.method", echo);
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        const auto info = co_await world.host(0).identify(*peer);
        REQUIRE(info.has_value());
        CHECK(info->agent == "test-1");
        CHECK(std::ranges::find(info->protocols, "Some.method") != info->protocols.end());
        CHECK(std::ranges::find(info->protocols, "/ipfs/ping/1.0.0") != info->protocols.end());
        REQUIRE(info->addresses.size() == 1);
        CHECK(info->addresses[0].with_peer(*peer) == world.address(1));
        CHECK(info->is_record_signed);
        REQUIRE(info->observed.has_value());
        CHECK(info->observed->to_text().starts_with("/ip4/10.0.0.1/tcp/"));
    });
}

TEST_CASE("a new protocol is pushed to connected peers") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        const auto before = co_await world.host(0).identify(*peer);
        REQUIRE(before.has_value());
        CHECK(std::ranges::find(before->protocols, "Late.method") == before->protocols.end());
        world.host(1).handle("Late.method", echo);
        co_await world.clock().sleep_for(1s);
        const auto after = co_await world.host(0).identify(*peer);
        REQUIRE(after.has_value());
        CHECK(std::ranges::find(after->protocols, "Late.method") != after->protocols.end());
    });
}

io::Task<PeerRecord> told_record(Host& host, PeerId peer) {
    auto stream = co_await host.open(std::move(peer), kIdentifyProtocol);
    REQUIRE(stream.has_value());
    const auto bytes = co_await read_length_prefixed(**stream, 4096);
    REQUIRE(bytes.has_value());
    REQUIRE(bytes->has_value());
    const auto message = decode_identify(**bytes, Limits());
    REQUIRE(message.has_value());
    const auto record = open_peer_record(message->signed_record);
    REQUIRE(record.has_value());
    co_return *record;
}

TEST_CASE("signed records count up from where the node begins, with each new protocol") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        const PeerRecord before = co_await told_record(world.host(0), *peer);
        CHECK(before.peer == *peer);
        CHECK(before.sequence >= kRecordSequence);
        world.host(1).handle("Late.method", echo);
        const PeerRecord after = co_await told_record(world.host(0), *peer);
        CHECK(after.sequence > before.sequence);
    });
}

TEST_CASE("ping measures the round trip") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        co_await world.clock().sleep_for(1s);
        world.set_latency(20ms);
        const auto time = co_await world.host(0).ping(*peer);
        REQUIRE(time.has_value());
        CHECK(*time >= 40ms);
        CHECK(*time < 45ms);
    });
}

TEST_CASE("dialling an address where another peer lives fails and names both") {
    run_hosts(3, [](HostWorld& world) -> io::Task<void> {
        const Multiaddr wrong = world.address(1).with_peer(world.host(2).id());
        const auto peer = co_await world.host(0).connect(wrong);
        REQUIRE_FALSE(peer.has_value());
        CHECK(peer.error().code == Errc::wrong_peer);
        CHECK(peer.error().context.find(world.host(1).id().to_text()) != std::string::npos);
        CHECK(peer.error().context.find(world.host(2).id().to_text()) != std::string::npos);
    });
}

TEST_CASE("after a failure an address is left alone, and works again later") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        world.network().cut("10.0.0.1", "10.0.0.2");
        const auto first = co_await world.host(0).connect(world.address(1));
        REQUIRE_FALSE(first.has_value());
        CHECK(first.error().code == Errc::timed_out);
        world.network().heal_all();
        const auto second = co_await world.host(0).connect(world.address(1));
        REQUIRE_FALSE(second.has_value());
        CHECK(second.error().context.find("backing off for 5 s") != std::string::npos);
        co_await world.clock().sleep_for(6s);
        const auto third = co_await world.host(0).connect(world.address(1));
        CHECK(third.has_value());
    });
}

TEST_CASE("addresses that cannot be dialled are refused with a reason") {
    run_hosts(1, [](HostWorld& world) -> io::Task<void> {
        const Multiaddr no_peer = Multiaddr::parse("/ip4/10.0.0.2/tcp/4001").value();
        const auto first = co_await world.host(0).connect(no_peer);
        REQUIRE_FALSE(first.has_value());
        CHECK(first.error().code == Errc::invalid_argument);
        const Multiaddr itself = world.address(0);
        const auto second = co_await world.host(0).connect(itself);
        REQUIRE_FALSE(second.has_value());
        CHECK(second.error().context.find("itself") != std::string::npos);
        const PeerId stranger = make_identity(77);
        const auto third = co_await world.host(0).open(stranger, "/echo/1.0.0");
        REQUIRE_FALSE(third.has_value());
        CHECK(third.error().code == Errc::not_found);
    });
}

TEST_CASE("disconnecting says goodbye: the peer's streams end, and it may dial again") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        world.host(1).handle("/echo/1.0.0", echo);
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        auto stream = co_await world.host(0).open(*peer, "/echo/1.0.0");
        REQUIRE(stream.has_value());
        std::array<std::byte, 1> byte{};
        const Result<> is_read = co_await echo_back(**stream, byte);
        REQUIRE(is_read.has_value());
        world.host(1).disconnect(world.host(0).id());
        const auto end = co_await (*stream)->read_some(byte);
        CHECK((!end || *end == 0));
        co_await world.clock().sleep_for(1s);
        CHECK_FALSE(world.host(0).is_connected(*peer));
        const auto again = co_await world.host(0).connect(world.address(1));
        CHECK(again.has_value());
    });
}

TEST_CASE("rubbish instead of a handshake ends that connection and nothing else") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        for (std::uint64_t seed = 0; seed < 20; ++seed) {
            auto raw = co_await world.dial_raw(0, 1);
            REQUIRE(raw.has_value());
            std::vector<std::byte> rubbish(1000);
            for (std::size_t i = 0; i < rubbish.size(); ++i)
                rubbish[i] = static_cast<std::byte>(random_bits(seed, i));
            const Bytes bytes(rubbish);
            const Result<> written = co_await (*raw)->write(bytes);
            static_cast<void>(written);
        }
        co_await world.clock().sleep_for(30s);
        const auto peer = co_await world.host(0).connect(world.address(1));
        CHECK(peer.has_value());
    });
}

TEST_CASE("a peer that says nothing is cut off, and only so many may be waiting") {
    Limits limits;
    limits.pending_inbound_per_ip_max = 3;
    run_hosts(2, limits, [](HostWorld& world) -> io::Task<void> {
        std::vector<std::unique_ptr<io::Stream>> silent;
        for (int i = 0; i < 3; ++i) {
            auto raw = co_await world.dial_raw(0, 1);
            REQUIRE(raw.has_value());
            silent.push_back(std::move(*raw));
        }
        co_await world.clock().sleep_for(1s);
        const auto refused = co_await world.host(0).connect(world.address(1));
        CHECK_FALSE(refused.has_value());
        co_await world.clock().sleep_for(15s);
        std::array<std::byte, 64> bytes{};
        while (true) {
            const auto count = co_await silent.front()->read_some(bytes);
            if (!count || *count == 0) break;
        }
        const auto peer = co_await world.host(0).connect(world.address(1));
        CHECK(peer.has_value());
    });
}

TEST_CASE("streams beyond the limit are reset, and their places are free again afterwards") {
    Limits limits;
    limits.streams_per_peer_max = 4;
    run_hosts(2, limits, [](HostWorld& world) -> io::Task<void> {
        world.host(1).handle("/echo/1.0.0", echo);
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        co_await world.clock().sleep_for(1s);  // identify has ended
        for (int round = 0; round < 2; ++round) {
            std::vector<std::unique_ptr<Stream>> streams;
            int served = 0;
            for (int i = 0; i < 6; ++i) {
                auto stream = co_await world.host(0).open(*peer, "/echo/1.0.0");
                REQUIRE(stream.has_value());
                std::array<std::byte, 1> byte{};
                const Result<> is_echoed = co_await echo_back(**stream, byte);
                if (is_echoed) ++served;
                streams.push_back(std::move(*stream));
            }
            CHECK(served == 4);
            streams.clear();
            co_await world.clock().sleep_for(1s);
        }
    });
}

TEST_CASE("every key type makes an identity that both sides accept") {
    for (const crypto::KeyType type : {crypto::KeyType::ed25519,
                                       crypto::KeyType::rsa,
                                       crypto::KeyType::secp256k1,
                                       crypto::KeyType::ecdsa}) {
        const auto key = crypto::PrivateKey::generate(type);
        REQUIRE(key.has_value());
        run_hosts(std::vector{*key, make_key(1)}, Limits(), [](HostWorld& world) -> io::Task<void> {
            const auto peer = co_await world.host(0).connect(world.address(1));
            REQUIRE(peer.has_value());
            const auto there = co_await world.host(0).ping(*peer);
            CHECK(there.has_value());
            const auto back = co_await world.host(1).ping(world.host(0).id());
            CHECK(back.has_value());
        });
    }
}

}  // namespace
}  // namespace kwaai::p2p
