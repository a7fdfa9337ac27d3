#include "p2p/peer_id.hpp"

#include <unordered_set>

#include "codec/multibase.hpp"
#include "codec/multihash.hpp"
#include "json/document.hpp"
#include "testing/fixtures.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

using testing::from_hex;

PeerId parsed(std::string_view text) {
    auto peer = PeerId::parse(text);
    REQUIRE(peer);
    return std::move(*peer);
}

constexpr std::string_view kEd25519 = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
constexpr std::string_view kHashed = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";

}  // namespace

TEST_CASE("a peer id reads from base58 and from a CID") {
    const PeerId bare = parsed(kHashed);
    CHECK(bare == parsed("bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe"));
    CHECK(bare.to_text() == kHashed);
    CHECK(bare.bytes().size() == 34);
    CHECK(parsed(kEd25519).to_text() == kEd25519);
    CHECK(parsed(kEd25519).bytes().size() == 38);
}

TEST_CASE("a peer id reads from a CID in each multibase") {
    const PeerId peer = parsed(kEd25519);
    codec::Buffer cid = from_hex("0172");
    codec::append(cid, peer.bytes());
    for (const codec::Base base : {codec::Base::base16,
                                   codec::Base::base32,
                                   codec::Base::base36,
                                   codec::Base::base58,
                                   codec::Base::base64url})
        CHECK(parsed(codec::encode_multibase(base, cid)) == peer);
    CHECK(codec::encode_multibase(codec::Base::base36, cid).starts_with("k51"));
}

TEST_CASE("the keys of libp2p's specification have its peer ids") {
    KWAAI_FIXTURE(path, "libp2p/specs/peer-id-keys.json");
    const auto document = json::parse(testing::read_text(path));
    REQUIRE(document);
    for (const std::string_view type : {"ecdsa", "ed25519", "secp256k1", "rsa"}) {
        CAPTURE(type);
        const auto vector = document->root().at(type);
        REQUIRE(vector);
        const auto text_of = [&](std::string_view key) {
            const auto member = vector->at(key);
            REQUIRE(member);
            return std::string(*member->string());
        };
        const auto private_key = crypto::PrivateKey::from_protobuf(from_hex(text_of("private")));
        REQUIRE(private_key);
        const auto public_key = crypto::PublicKey::from_protobuf(from_hex(text_of("public")));
        REQUIRE(public_key);
        CHECK(private_key->public_key() == *public_key);
        const PeerId peer = PeerId::of(*public_key);
        CHECK(peer.to_text() == text_of("peer_id_derived"));
        CHECK(peer == parsed(text_of("peer_id_cidv1_derived")));
        CHECK(peer.matches(*public_key));
    }
}

TEST_CASE("an id of a short key holds that key, one of a long key does not") {
    for (const auto type : {crypto::KeyType::ed25519, crypto::KeyType::secp256k1}) {
        const auto key = crypto::PrivateKey::generate(type);
        REQUIRE(key);
        const PeerId peer = PeerId::of(key->public_key());
        REQUIRE(peer.embedded_key());
        CHECK(*peer.embedded_key() == key->public_key());
        CHECK(peer.matches(key->public_key()));
    }
    const auto key = crypto::PrivateKey::generate(crypto::KeyType::ecdsa);
    REQUIRE(key);
    const PeerId peer = PeerId::of(key->public_key());
    CHECK_FALSE(peer.embedded_key());
    CHECK(peer.to_text().starts_with("Qm"));
    CHECK_FALSE(peer.matches(crypto::PrivateKey::generate(crypto::KeyType::ecdsa)->public_key()));
}

TEST_CASE("an id reads back from its bytes") {
    for (const std::string_view text : {kEd25519, kHashed}) {
        const PeerId peer = parsed(text);
        const auto again = PeerId::from_bytes(peer.bytes());
        REQUIRE(again);
        CHECK(*again == peer);
    }
}

TEST_CASE("the short text is the end of the text") {
    CHECK(parsed(kEd25519).short_text() == "AJU5SA");
    CHECK(parsed(kHashed).short_text() == "Wjhx5N");
}

TEST_CASE("ids are keys of hash tables") {
    std::unordered_set<PeerId> peers = {parsed(kEd25519), parsed(kHashed), parsed(kHashed)};
    CHECK(peers.size() == 2);
    CHECK(peers.contains(parsed(kEd25519)));
}

TEST_CASE("other bytes are no peer id") {
    const std::string key =
        "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
    REQUIRE(PeerId::from_bytes(from_hex("0024" + key)));
    for (const std::string& bytes :
         std::vector<std::string>{"",
                                  "00",
                                  "0024",
                                  "1220",
                                  "0000",                         // holds nothing
                                  "0024" + key + "00",            // bytes behind it
                                  "0024" + key.substr(2) + "00",  // holds no key
                                  "0023" + key.substr(0, 70),     // a key cut short
                                  "8000"
                                  "24" +
                                      key,  // a code that is not minimal
                                  "1114e861e452cfd84dca9a176258c3d06e020a0c93d8",  // SHA-1
                                  "1340" + std::string(128, '0'),                  // SHA-512
                                  "1620" + std::string(64, '0'),                   // SHA-3
                                  "002b" + std::string(86, '0')}) {
        CAPTURE(bytes);
        const auto peer = PeerId::from_bytes(from_hex(bytes));
        REQUIRE_FALSE(peer);
        CHECK(peer.error().code == Errc::malformed);
    }
}

TEST_CASE("an id that holds a key which would be hashed is malformed") {
    const auto key = crypto::PrivateKey::generate(crypto::KeyType::ecdsa);
    REQUIRE(key);
    const auto bytes =
        codec::make_multihash(codec::HashCode::identity, key->public_key().protobuf());
    CHECK(PeerId::from_bytes(bytes).error().code == Errc::malformed);
}

TEST_CASE("other texts are no peer id") {
    for (const std::string& text : std::vector<std::string>{
             "",
             "1",
             "Qm",
             "z",
             "12D3KooW",
             std::string(kHashed) + "x",
             "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5S0",  // no digit of base58
             "zQmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",       // multibase, but no CID
             "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",  // codec dag-pb
             "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N/",
             std::string(100000, '1')}) {
        CAPTURE(text.substr(0, 100));
        const auto peer = PeerId::parse(text);
        REQUIRE_FALSE(peer);
        CHECK(peer.error().code == Errc::malformed);
    }
}
