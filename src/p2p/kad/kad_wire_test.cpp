#include "p2p/kad/kad_wire.hpp"

#include <array>

#include <doctest/doctest.h>

#include "codec/protobuf.hpp"
#include "codec/varint.hpp"
#include "p2p/host_world_test.hpp"
#include "testing/hex.hpp"

namespace kwaai::p2p::kad {
namespace {

const DhtLimits kLimits;

Bytes body_of(const codec::Buffer& framed) {
    const auto length = codec::read_varint(framed);
    REQUIRE(length.has_value());
    REQUIRE(length->has_value());
    REQUIRE((*length)->value + (*length)->size == framed.size());
    return Bytes(framed).subspan((*length)->size);
}

WirePeer make_peer(unsigned char number) {
    return {.peer = make_identity(number),
            .addresses = {Multiaddr::parse("/ip4/10.0.0.1/tcp/4001").value()},
            .connection = ConnectionType::connected};
}

codec::Buffer peer_bytes(Bytes id, std::size_t padding = 0) {
    codec::Buffer out;
    codec::ProtoWriter writer(out);
    writer.bytes(1, id);
    if (padding > 0) writer.bytes(9, codec::Buffer(padding));
    return out;
}

TEST_CASE("a request to find a node has the bytes of the specification") {
    const codec::Buffer framed = encode_message(
        {.type = MessageType::find_node, .key = testing::from_hex("1220aabb")}, kLimits);
    CHECK(testing::to_hex(framed) == "08080412041220aabb");
}

TEST_CASE("a message comes back as it was written") {
    Message message{.type = MessageType::get_providers, .key = codec::to_buffer(as_bytes("key"))};
    message.record = WireRecord{.key = message.key, .value = codec::to_buffer(as_bytes("value"))};
    message.closer = {make_peer(1), make_peer(2)};
    message.providers = {make_peer(3)};
    const codec::Buffer framed = encode_message(message, kLimits);
    const auto read = decode_message(body_of(framed), kLimits);
    REQUIRE(read.has_value());
    CHECK(read->type == MessageType::get_providers);
    CHECK(read->key == message.key);
    REQUIRE(read->record.has_value());
    CHECK(read->record->key == message.key);
    CHECK(as_text(read->record->value) == "value");
    REQUIRE(read->closer.size() == 2);
    CHECK(read->closer[1].peer == make_identity(2));
    CHECK(read->closer[1].addresses == make_peer(2).addresses);
    CHECK(read->closer[1].connection == ConnectionType::connected);
    REQUIRE(read->providers.size() == 1);
    CHECK(read->providers[0].peer == make_identity(3));
}

TEST_CASE("no message that is sent has more bytes than its limit") {
    Message message{.type = MessageType::get_value, .key = codec::to_buffer(as_bytes("key"))};
    message.record =
        WireRecord{.key = message.key, .value = codec::Buffer(kLimits.value_bytes_max)};
    const std::string domain = "/dns4/" + std::string(800, 'a') + "/tcp/1";
    for (unsigned char number = 1; number <= 40; ++number) {
        WirePeer peer = make_peer(number);
        for (int i = 0; i < 20; ++i)
            peer.addresses.push_back(Multiaddr::parse(domain + std::to_string(i)).value());
        message.closer.push_back(std::move(peer));
        message.providers.push_back(make_peer(number));
    }
    const codec::Buffer framed = encode_message(message, kLimits);
    CHECK(body_of(framed).size() <= kLimits.sent_bytes_max);
    const auto read = decode_message(body_of(framed), kLimits);
    REQUIRE(read.has_value());
    CHECK(read->record.has_value());
    CHECK(read->providers.size() == 40);
    CHECK(read->closer.size() < 2);
}

TEST_CASE("peers that are none, too long, too many or there twice are left out") {
    codec::Buffer body;
    codec::ProtoWriter writer(body);
    writer.varint(1, 4);
    writer.bytes(8, peer_bytes(as_bytes("no peer id")));
    writer.bytes(8, peer_bytes(make_identity(1).bytes(), kLimits.peer_bytes_max));
    writer.bytes(8, as_bytes("\xff\xff"));
    writer.bytes(8, peer_bytes(make_identity(2).bytes()));
    writer.bytes(8, peer_bytes(make_identity(2).bytes()));
    for (unsigned char number = 10; number < 100; ++number)
        writer.bytes(8, peer_bytes(make_identity(number).bytes()));
    const auto read = decode_message(body, kLimits);
    REQUIRE(read.has_value());
    REQUIRE(read->closer.size() == kLimits.peers_max);
    CHECK(read->closer[0].peer == make_identity(2));
    CHECK(read->closer[1].peer == make_identity(10));
}

TEST_CASE("messages in a message that hold nothing are not kept (the class of CVE-2026-46679)") {
    codec::Buffer body;
    codec::ProtoWriter writer(body);
    writer.varint(1, 4);
    for (int i = 0; i < 20'000; ++i) {
        writer.bytes(8, Bytes());
        writer.bytes(9, Bytes());
    }
    const auto read = decode_message(body, kLimits);
    REQUIRE(read.has_value());
    CHECK(read->closer.capacity() <= kLimits.peers_max);
    CHECK(read->providers.capacity() <= kLimits.peers_max);
}

TEST_CASE("an address that nobody can parse is left out, and its peer is kept") {
    codec::Buffer peer;
    codec::ProtoWriter peer_writer(peer);
    peer_writer.bytes(1, make_identity(1).bytes());
    peer_writer.bytes(2, testing::from_hex("ffffff7f"));
    peer_writer.bytes(2, make_peer(1).addresses.front().bytes());
    codec::Buffer body;
    codec::ProtoWriter writer(body);
    writer.bytes(8, peer);
    const auto read = decode_message(body, kLimits);
    REQUIRE(read.has_value());
    REQUIRE(read->closer.size() == 1);
    CHECK(read->closer[0].addresses == make_peer(1).addresses);
}

TEST_CASE("keys and values past the limits, unknown types and broken bytes are refused") {
    const auto error_of = [](const codec::Buffer& body) {
        const auto read = decode_message(body, kLimits);
        REQUIRE_FALSE(read.has_value());
        return read.error().code;
    };
    codec::Buffer long_key;
    codec::ProtoWriter(long_key).bytes(2, codec::Buffer(kLimits.key_bytes_max + 1));
    CHECK(error_of(long_key) == Errc::limit_exceeded);
    codec::Buffer value;
    codec::ProtoWriter(value).bytes(2, codec::Buffer(kLimits.value_bytes_max + 1));
    codec::Buffer long_value;
    codec::ProtoWriter(long_value).bytes(3, value);
    CHECK(error_of(long_value) == Errc::limit_exceeded);
    CHECK(error_of(testing::from_hex("0806")) == Errc::malformed);
    CHECK(error_of(testing::from_hex("0a")) == Errc::malformed);
    CHECK(error_of(testing::from_hex("12ff")) == Errc::malformed);
}

}  // namespace
}  // namespace kwaai::p2p::kad
