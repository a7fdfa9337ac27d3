#include "p2p/envelope.hpp"

#include <array>

#include "codec/multibase.hpp"
#include "codec/protobuf.hpp"
#include "testing/fixtures.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using codec::Buffer;

namespace {

using testing::from_hex;

// The record below of the key of seed 55…55, in both forms, made with Python's cryptography.
constexpr std::string_view kGoRecord =
    "0a2408011220c6822637c7d310ec57627be00ba259d253749f4aaf644470cffbe53a35f73242120203011a4e0a2600"
    "2408011220c6822637c7d310ec57627be00ba259d253749f4aaf644470cffbe53a35f732421080e2cfaa061a0a0a08"
    "047f000001060fa11a120a10360b6578616d706c652e636f6d0601bb2a403f6b4b5e50b0a303881280c90fade64cdc"
    "60ac65d9d7cbf596e08476bb4dfd51014c976d627f2c60225f4ab4c88b752d801ff410da8adc118eddaafc87e73c0"
    "a";
constexpr std::string_view kRfcRecord =
    "0a2408011220c6822637c7d310ec57627be00ba259d253749f4aaf644470cffbe53a35f73242121c2f6c6962703270"
    "2f726f7574696e672d73746174652d7265636f72641a4e0a26002408011220c6822637c7d310ec57627be00ba259d2"
    "53749f4aaf644470cffbe53a35f732421080e2cfaa061a0a0a08047f000001060fa11a120a10360b6578616d706c65"
    "2e636f6d0601bb2a40c3ef962ad6ee0b72ac06e24e84fce6c69ae1235f56293842e93f31c07dc5c4b46d7b1298022"
    "431f4fc8d58de0be1237e6d59feaa0cdd0e7748f59ce63283ef06";

crypto::PrivateKey key_from(int seed) {
    std::array<std::byte, 32> bytes;
    bytes.fill(static_cast<std::byte>(seed));
    return crypto::PrivateKey::ed25519_from_seed(bytes);
}

Multiaddr multiaddr(std::string_view text) {
    auto address = Multiaddr::parse(text);
    REQUIRE(address);
    return std::move(*address);
}

PeerRecord some_record(const crypto::PrivateKey& key) {
    return {.peer = PeerId::of(key.public_key()),
            .sequence = 1700000000,
            .addresses = {multiaddr("/ip4/127.0.0.1/tcp/4001"),
                          multiaddr("/dns4/example.com/tcp/443")}};
}

/// A record's payload with any addresses.
Buffer payload_of(const PeerId& peer, const std::vector<Buffer>& addresses) {
    Buffer payload;
    codec::ProtoWriter writer(payload);
    writer.bytes(1, peer.bytes());
    writer.varint(2, 1);
    for (const Buffer& address : addresses) {
        Buffer info;
        codec::ProtoWriter(info).bytes(1, address);
        writer.bytes(3, info);
    }
    return payload;
}

Buffer seal_go(const crypto::PrivateKey& key, Bytes payload) {
    return seal_envelope(key, "libp2p-peer-record", as_bytes("\x03\x01"), payload);
}

}  // namespace

TEST_CASE("an envelope opens for its domain") {
    const auto key = key_from(1);
    const Buffer bytes = seal_envelope(key, "a domain", as_bytes("type"), as_bytes("payload"));
    const auto opened = open_envelope(bytes, "a domain");
    REQUIRE(opened);
    CHECK(opened->signer == key.public_key());
    CHECK(as_text(opened->payload_type) == "type");
    CHECK(as_text(opened->payload) == "payload");
}

TEST_CASE("an envelope does not open for another domain") {
    const Buffer bytes =
        seal_envelope(key_from(1), "a domain", as_bytes("type"), as_bytes("payload"));
    for (const std::string_view domain : {"another", "a domai", "a domain ", ""})
        CHECK(open_envelope(bytes, domain).error().code == Errc::malformed);
}

TEST_CASE("nothing moves from one signed piece into the next") {
    const auto key = key_from(1);
    const Buffer bytes = seal_envelope(key, "domain", as_bytes("ab"), as_bytes("cd"));
    Buffer moved;
    codec::ProtoWriter writer(moved);
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    while (*reader.next(field)) {
        if (field.tag == 2) {
            writer.text(2, "abc");
        } else if (field.tag == 3) {
            writer.text(3, "d");
        } else {
            writer.bytes(field.tag, field.bytes);
        }
    }
    CHECK(open_envelope(moved, "domain").error().code == Errc::malformed);
}

TEST_CASE("every changed byte of an envelope is noticed") {
    const Buffer bytes = from_hex(kGoRecord);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        CAPTURE(i);
        Buffer changed = bytes;
        changed[i] ^= std::byte{1};
        CHECK_FALSE(open_peer_record(changed));
        CHECK_FALSE(open_peer_record(Bytes(bytes).first(i)));
    }
}

TEST_CASE("keys of every type sign envelopes") {
    for (const auto type :
         {crypto::KeyType::rsa, crypto::KeyType::secp256k1, crypto::KeyType::ecdsa}) {
        const auto key = crypto::PrivateKey::generate(type);
        REQUIRE(key);
        const auto record = open_peer_record(seal_peer_record(*key, some_record(*key)));
        REQUIRE(record);
        CHECK(record->peer.matches(key->public_key()));
    }
}

TEST_CASE("a peer record is written as Go writes it") {
    const auto key = key_from(0x55);
    CHECK(codec::encode_base(codec::Base::base16, seal_peer_record(key, some_record(key))) ==
          kGoRecord);
}

TEST_CASE("a peer record reads in the form of Go and in that of the RFC") {
    const PeerRecord expected = some_record(key_from(0x55));
    for (const std::string_view bytes : {kGoRecord, kRfcRecord}) {
        const auto record = open_peer_record(from_hex(bytes));
        REQUIRE(record);
        CHECK(record->peer == expected.peer);
        CHECK(record->sequence == expected.sequence);
        CHECK(record->addresses == expected.addresses);
    }
}

TEST_CASE("a record of one peer that another signed is malformed (RUSTSEC-2022-0009)") {
    const auto peer = key_from(1);
    const auto signer = key_from(2);
    const auto record = open_peer_record(seal_peer_record(signer, some_record(peer)));
    REQUIRE_FALSE(record);
    CHECK(record.error().code == Errc::malformed);
    CHECK(record.error().context.find("signed by") != std::string::npos);
}

TEST_CASE("one form's type under the other form's domain is malformed") {
    const auto key = key_from(1);
    const Buffer payload = payload_of(PeerId::of(key.public_key()), {});
    CHECK(open_peer_record(seal_go(key, payload)));
    CHECK_FALSE(open_peer_record(
        seal_envelope(key, "libp2p-routing-state", as_bytes("\x03\x01"), payload)));
    CHECK_FALSE(open_peer_record(seal_envelope(
        key, "libp2p-peer-record", as_bytes("/libp2p/routing-state-record"), payload)));
    CHECK_FALSE(
        open_peer_record(seal_envelope(key, "libp2p-relay-rsvp", as_bytes("\x03\x02"), payload)));
}

TEST_CASE("addresses that we cannot parse are left out, the others stay") {
    const auto key = key_from(1);
    const Buffer good = codec::to_buffer(multiaddr("/ip4/1.2.3.4/tcp/80").bytes());
    const auto record = open_peer_record(
        seal_go(key,
                payload_of(PeerId::of(key.public_key()),
                           {from_hex("8401"), good, from_hex(""), from_hex("0401")})));
    REQUIRE(record);
    REQUIRE(record->addresses.size() == 1);
    CHECK(record->addresses[0].to_text() == "/ip4/1.2.3.4/tcp/80");
}

TEST_CASE("at most 64 addresses are read") {
    const auto key = key_from(1);
    const Buffer good = codec::to_buffer(multiaddr("/ip4/1.2.3.4/tcp/80").bytes());
    const auto record = open_peer_record(
        seal_go(key, payload_of(PeerId::of(key.public_key()), std::vector<Buffer>(100, good))));
    REQUIRE(record);
    CHECK(record->addresses.size() == 64);
}

TEST_CASE("records without a peer, and broken ones, are malformed") {
    const auto key = key_from(1);
    for (const std::string_view payload : {"", "1001", "0a0100", "0a", "1a03ffffff"})
        CHECK(open_peer_record(seal_go(key, from_hex(payload))).error().code == Errc::malformed);
    for (const std::string_view envelope : {"", "0a", "ffff", "0a0012020301"})
        CHECK(open_peer_record(from_hex(envelope)).error().code == Errc::malformed);
}

TEST_CASE("a signer's key in another than its one form is malformed") {
    const auto key = key_from(1);
    Buffer long_form = from_hex(
        "0801"
        "12a000");
    codec::append(long_form, key.public_key().data());
    Buffer bytes;
    codec::ProtoWriter writer(bytes);
    writer.bytes(1, long_form);
    writer.text(2, "t");
    writer.text(3, "p");
    writer.bytes(5, key.sign(as_bytes("\1d\1t\1p")));
    CHECK(open_envelope(bytes, "d").error().code == Errc::malformed);
}
