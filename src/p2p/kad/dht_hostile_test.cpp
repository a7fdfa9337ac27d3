// Peers that lie, that never answer, and servers that refuse.
#include <algorithm>

#include <doctest/doctest.h>

#include "p2p/kad/dht_world_test.hpp"
#include "p2p/kad/kad_wire.hpp"
#include "p2p/length_prefixed.hpp"

namespace kwaai::p2p::kad {
namespace {

using namespace std::chrono_literals;

/// Sends a message as it is and reads one; nothing where the server ended the stream instead.
io::Task<std::optional<Message>> request(HostWorld& world,
                                         std::size_t from,
                                         Message message,
                                         std::size_t to = 0) {
    const PeerId server = world.host(to).id();
    world.host(from).add_address(server, world.address(to));
    auto stream = co_await world.host(from).open(server, kKadProtocol);
    REQUIRE(stream.has_value());
    const codec::Buffer framed = encode_message(message, {});
    const Bytes bytes(framed);
    const Result<> written = co_await (*stream)->write(bytes);
    REQUIRE(written.has_value());
    const auto reply = co_await read_length_prefixed(**stream, 16 << 10);
    if (!reply || !*reply) co_return std::nullopt;
    auto read = decode_message(**reply, {});
    REQUIRE(read.has_value());
    co_return std::move(*read);
}

TEST_CASE("a server refuses values without a known namespace, of another key, and worse ones") {
    run_dhts(2, [](DhtWorld& world) -> io::Task<void> {
        HostWorld& hosts = world.hosts();
        const codec::Buffer key = signed_record_key(hosts.host(1).id(), "name");
        const codec::Buffer newer =
            seal_signed_record(hosts.host(1).identity(), "name", 2, kUnixTime + 10, {});
        const codec::Buffer older =
            seal_signed_record(hosts.host(1).identity(), "name", 1, kUnixTime + 10, {});
        const Message put{.type = MessageType::put_value,
                          .key = key,
                          .record = WireRecord{.key = key, .value = newer}};
        const auto taken = co_await request(hosts, 1, put);
        REQUIRE(taken.has_value());
        REQUIRE(taken->record.has_value());
        CHECK(taken->record->value == newer);
        Message worse = put;
        worse.record->value = older;
        const auto stays = co_await request(hosts, 1, std::move(worse));
        CHECK_FALSE(stays.has_value());
        Message other = put;
        other.record->key = provider_key("another key");
        const auto mixed = co_await request(hosts, 1, std::move(other));
        CHECK_FALSE(mixed.has_value());
        const codec::Buffer plain = codec::to_buffer(as_bytes("plain"));
        Message unnamed{.type = MessageType::put_value,
                        .key = plain,
                        .record = WireRecord{.key = plain, .value = plain}};
        const auto refused = co_await request(hosts, 1, std::move(unnamed));
        CHECK_FALSE(refused.has_value());
        Message get{.type = MessageType::get_value, .key = key};
        const auto stored = co_await request(hosts, 1, std::move(get));
        REQUIRE(stored.has_value());
        REQUIRE(stored->record.has_value());
        CHECK(stored->record->value == newer);
    });
}

TEST_CASE("who still holds an old value is given the one that the others hold") {
    run_dhts(4, [](DhtWorld& world) -> io::Task<void> {
        co_await world.join();
        HostWorld& hosts = world.hosts();
        const codec::Buffer key = signed_record_key(hosts.host(1).id(), "name");
        const auto record = [&](std::uint64_t sequence) {
            return seal_signed_record(
                hosts.host(1).identity(), "name", sequence, kUnixTime + 10, {});
        };
        for (const std::size_t holder : {0U, 1U, 2U}) {
            Message put{.type = MessageType::put_value, .key = key};
            put.record = WireRecord{.key = key, .value = record(holder == 0 ? 1 : 2)};
            const auto taken = co_await request(hosts, 3, std::move(put), holder);
            REQUIRE(taken.has_value());
        }
        const auto got = co_await world.dht(3).get(key);
        REQUIRE(got.has_value());
        CHECK(*got == record(2));
        co_await hosts.clock().sleep_for(1s);  // the corrections are under way
        const std::vector<KeptRecord> stale = world.dht(0).kept().records;
        REQUIRE(stale.size() == 1);
        CHECK(stale.front().value == record(2));
    });
}

TEST_CASE("a server takes providers that name themselves only") {
    run_dhts(3, [](DhtWorld& world) -> io::Task<void> {
        HostWorld& hosts = world.hosts();
        const codec::Buffer key = provider_key("a key");
        Message add{.type = MessageType::add_provider, .key = key};
        add.providers.push_back(
            {.peer = hosts.host(2).id(), .addresses = {hosts.address(2).without_peer()}});
        const auto nothing = co_await request(hosts, 1, add);
        CHECK_FALSE(nothing.has_value());
        const Message get{.type = MessageType::get_providers, .key = key};
        const auto none = co_await request(hosts, 1, get);
        REQUIRE(none.has_value());
        CHECK(none->providers.empty());
    });
}

TEST_CASE("a server tells nobody about itself, and where a wanted peer is first") {
    run_dhts(6, [](DhtWorld& world) -> io::Task<void> {
        co_await world.join();
        HostWorld& hosts = world.hosts();
        Message find{.type = MessageType::find_node,
                     .key = codec::to_buffer(hosts.host(3).id().bytes())};
        const auto reply = co_await request(hosts, 1, std::move(find));
        REQUIRE(reply.has_value());
        REQUIRE(reply->closer.size() == 4);
        CHECK(reply->closer.front().peer == hosts.host(3).id());
        for (const WirePeer& peer : reply->closer) {
            CHECK(peer.peer != hosts.host(1).id());
            CHECK(peer.peer != hosts.host(0).id());
            CHECK_FALSE(peer.addresses.empty());
        }
    });
}

// As js-libp2p does: answers, but resets the stream whose sender ended it after the last message.
io::Task<void> answer_and_reset(std::unique_ptr<Stream> stream) {
    const auto asked = co_await read_length_prefixed(*stream, 64 << 10);
    if (!asked || !*asked) co_return;
    const auto request = decode_message(**asked, {});
    if (!request || request->type == MessageType::add_provider) {
        stream->reset(ResetCode::none);
        co_return;
    }
    const codec::Buffer framed =
        encode_message({.type = request->type, .key = request->key}, DhtLimits());
    const Bytes bytes(framed);
    const Result<> written = co_await stream->write(bytes);
    if (written) stream->close();
}

TEST_CASE("a peer that resets the stream of ADD_PROVIDER was told, and stays in the table") {
    const auto options = [](std::size_t index) {
        DhtOptions chosen = make_dht_options();
        if (index == 1) chosen.mode = Mode::client;
        return chosen;
    };
    run_dhts(2, options, [](DhtWorld& world) -> io::Task<void> {
        world.hosts().host(1).handle(kKadProtocol, answer_and_reset);
        const std::vector<Multiaddr> it{world.hosts().address(1)};
        const auto joined = co_await world.dht(0).bootstrap(it);
        REQUIRE(joined.has_value());
        for (int i = 0; i < 3; ++i) {
            const auto told = co_await world.dht(0).provide(provider_key("a key"));
            REQUIRE(told.has_value());
            CHECK(*told == 1);
        }
        CHECK(world.dht(0).peer_count() == 1);
        world.hosts().network().freeze(HostWorld::ip(1));
        const auto nobody = co_await world.dht(0).provide(provider_key("a key"));
        CHECK_FALSE(nobody.has_value());
        world.hosts().network().thaw(HostWorld::ip(1));
    });
}

io::Task<void> be_silent(std::unique_ptr<Stream> stream) {
    std::array<std::byte, 1024> buffer{};
    while (true) {
        const auto count = co_await stream->read_some(buffer);
        if (!count || *count == 0) co_return;
    }
}

io::Task<void> boast(std::unique_ptr<Stream> stream) {
    const auto asked = co_await read_length_prefixed(*stream, 64 << 10);
    if (!asked) co_return;
    // The length of a message of many megabytes, and bytes without end.
    const std::array<std::byte, 5> length{
        std::byte{0xff}, std::byte{0xff}, std::byte{0xff}, std::byte{0x7f}, std::byte{0}};
    while (true) {
        const Bytes bytes(length);
        const Result<> written = co_await stream->write(bytes);
        if (!written) co_return;
    }
}

/// Says that the nearest peers are ones that do not exist, at the asker's own address.
struct Liar {
    std::shared_ptr<std::uint64_t> next = std::make_shared<std::uint64_t>(0);

    static io::Task<void> lie(std::shared_ptr<std::uint64_t> next, std::unique_ptr<Stream> stream) {
        const auto asked = co_await read_length_prefixed(*stream, 64 << 10);
        if (!asked || !*asked) co_return;
        const auto request = decode_message(**asked, {});
        if (!request) co_return;
        Message reply{.type = request->type, .key = request->key};
        reply.closer.push_back({.peer = stream->remote_peer(),
                                .addresses = {stream->remote_address().without_peer()}});
        for (int i = 0; i < 30; ++i) {
            std::array<std::byte, 32> seed{};
            seed[1] = static_cast<std::byte>(*next);
            seed[2] = static_cast<std::byte>((*next)++ >> 8);
            seed[3] = std::byte{1};
            const auto key = crypto::PrivateKey::ed25519_from_seed(seed);
            reply.closer.push_back({.peer = PeerId::of(key.public_key()),
                                    .addresses = {stream->remote_address().without_peer()}});
        }
        const codec::Buffer framed = encode_message(reply, {});
        const Bytes bytes(framed);
        const Result<> written = co_await stream->write(bytes);
        if (written) stream->close();
    }

    io::Task<void> operator()(std::unique_ptr<Stream> stream) const {
        return lie(next, std::move(stream));
    }
};

// CVE-2023-26248: liars round a key keep nobody from what is there.
TEST_CASE("lookups find the true peers in spite of some that are silent, boast or lie") {
    const auto options = [](std::size_t index) {
        DhtOptions chosen = make_dht_options();
        if (index >= 12) chosen.mode = Mode::client;
        return chosen;
    };
    run_dhts(15, options, [](DhtWorld& world) -> io::Task<void> {
        HostWorld& hosts = world.hosts();
        hosts.host(12).handle(kKadProtocol, Liar());
        hosts.host(13).handle(kKadProtocol, Liar());
        hosts.host(14).handle(kKadProtocol, Liar());
        co_await world.join();
        const std::vector<PeerId> known = world.dht(0).peers();
        for (std::size_t i = 12; i < 15; ++i)
            CHECK(std::ranges::find(known, hosts.host(i).id()) != known.end());
        // They answered while they were looked at.
        hosts.host(13).handle(kKadProtocol, be_silent);
        hosts.host(14).handle(kKadProtocol, boast);
        for (const std::size_t asker : {1U, 5U, 11U}) {
            const io::TimePoint begin = hosts.clock().now();
            const codec::Buffer key = provider_key("key " + std::to_string(asker));
            const auto found = co_await world.dht(asker).find_closest(key);
            REQUIRE(found.has_value());
            CHECK(hosts.clock().now() - begin < 30s);
            std::vector<std::size_t> honest;
            for (std::size_t i = 0; i < 12; ++i)
                honest.push_back(i);
            const auto expected = world.truly_closest(key, asker, honest, 3);
            for (const PeerId& peer : expected) {
                const auto is_it = [&](const PeerAddresses& one) {
                    return one.peer == peer;
                };
                CHECK(std::ranges::any_of(*found, is_it));
            }
        }
        const codec::Buffer key = signed_record_key(hosts.host(2).id(), "name");
        const codec::Buffer value =
            seal_signed_record(hosts.host(2).identity(), "name", 1, kUnixTime + 10, {});
        const auto taken = co_await world.dht(2).put(key, value);
        REQUIRE(taken.has_value());
        const auto got = co_await world.dht(9).get(key);
        REQUIRE(got.has_value());
        CHECK(*got == value);
    });
}

}  // namespace
}  // namespace kwaai::p2p::kad
