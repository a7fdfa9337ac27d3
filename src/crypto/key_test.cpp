#include "crypto/key.hpp"

#include <doctest/doctest.h>

using namespace kwaai;
using namespace kwaai::crypto;

TEST_CASE("a key of each type signs what its public key verifies") {
    for (const KeyType type :
         {KeyType::rsa, KeyType::ed25519, KeyType::secp256k1, KeyType::ecdsa}) {
        CAPTURE(static_cast<int>(type));
        const auto key = PrivateKey::generate(type);
        REQUIRE(key);
        const auto signature = key->sign(as_bytes("a message"));
        CHECK(key->public_key().verify(as_bytes("a message"), signature));
        CHECK_FALSE(key->public_key().verify(as_bytes("a massage"), signature));
        const auto again = PrivateKey::from_protobuf(key->protobuf());
        REQUIRE(again);
        CHECK(again->public_key() == key->public_key());
        const auto public_again = PublicKey::from_protobuf(key->public_key().protobuf());
        REQUIRE(public_again);
        CHECK(*public_again == key->public_key());
    }
}
