#include "crypto/key.hpp"

#include <array>
#include <thread>
#include <vector>

#include "crypto/der.hpp"
#include "testing/fixtures.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::crypto;

namespace {

using testing::from_hex;
using testing::to_hex;

struct KeyVector {
    std::string_view private_key;
    std::string_view public_key;
};

// libp2p specs, peer-ids.md, "Test vectors"; the RSA one is in the fixtures.
constexpr std::array<KeyVector, 3> kVectors = {{
    {"080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"
     "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"},
    {"0802122053dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb",
     "08021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99"},
    {"08031279307702010104203e5b1fe9712e6c314942a750bd67485de3c1efe85b1bfb520ae8f9ae3dfa4a4ca00a"
     "06082a8648ce3d030107a14403420004de3d300fa36ae0e8f5d530899d83abab44abf3161f162a4bc901d8e6ecda"
     "020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9f77c409e62",
     "0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0e8f5d530899d83ab"
     "ab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9f77c"
     "409e62"},
}};

constexpr std::array<KeyType, 4> kTypes = {
    KeyType::rsa, KeyType::ed25519, KeyType::secp256k1, KeyType::ecdsa};

PrivateKey new_key(KeyType type) {
    auto key = PrivateKey::generate(type);
    REQUIRE(key);
    return std::move(*key);
}

Errc public_error(std::string_view protobuf) {
    const auto key = PublicKey::from_protobuf(from_hex(protobuf));
    REQUIRE_FALSE(key);
    return key.error().code;
}

Errc private_error(std::string_view protobuf) {
    const auto key = PrivateKey::from_protobuf(from_hex(protobuf));
    REQUIRE_FALSE(key);
    return key.error().code;
}

/// The S of a DER signature, in 32 bytes.
std::array<std::byte, 32> s_of(Bytes signature) {
    detail::DerReader outer(signature);
    const auto pair = outer.element(detail::kDerSequence);
    REQUIRE(pair);
    detail::DerReader numbers(*pair);
    REQUIRE(numbers.unsigned_integer());
    const auto s = numbers.unsigned_integer();
    REQUIRE(s);
    REQUIRE(s->size() <= 32);
    std::array<std::byte, 32> padded{};
    std::ranges::copy(*s, padded.end() - static_cast<std::ptrdiff_t>(s->size()));
    return padded;
}

}  // namespace

TEST_CASE("the keys of libp2p's specification have its encodings") {
    for (const KeyVector& vector : kVectors) {
        CAPTURE(vector.public_key);
        const auto key = PrivateKey::from_protobuf(from_hex(vector.private_key));
        REQUIRE(key);
        CHECK(to_hex(key->protobuf()) == vector.private_key);
        CHECK(to_hex(key->public_key().protobuf()) == vector.public_key);
        const auto public_key = PublicKey::from_protobuf(from_hex(vector.public_key));
        REQUIRE(public_key);
        CHECK(*public_key == key->public_key());
        CHECK(public_key->verify(as_bytes("message"), key->sign(as_bytes("message"))));
    }
}

TEST_CASE("Go's keys read, and its signatures verify") {
    for (const std::string number : {"0", "2", "3"}) {
        CAPTURE(number);
        KWAAI_FIXTURE(private_path, "libp2p/go-crypto/" + number + ".priv");
        KWAAI_FIXTURE(public_path, "libp2p/go-crypto/" + number + ".pub");
        KWAAI_FIXTURE(signature_path, "libp2p/go-crypto/" + number + ".sig");
        const auto private_bytes = testing::read_file(private_path);
        const auto public_bytes = testing::read_file(public_path);
        const auto signature = testing::read_file(signature_path);
        const Bytes message = as_bytes("Libp2p is the _best_!");
        const auto key = PrivateKey::from_protobuf(private_bytes);
        REQUIRE(key);
        CHECK(to_hex(key->protobuf()) == to_hex(private_bytes));
        CHECK(to_hex(key->public_key().protobuf()) == to_hex(public_bytes));
        CHECK(key->public_key().verify(message, signature));
        if (key->public_key().type() == KeyType::rsa) CHECK(key->sign(message) == signature);
    }
}

TEST_CASE("an Ed25519 signature is that of RFC 8032, section 7.1") {
    const auto seed = from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    const PrivateKey key =
        PrivateKey::ed25519_from_seed(std::span<const std::byte, 32>(seed.data(), 32));
    CHECK(to_hex(key.public_key().data()) ==
          "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    CHECK(
        to_hex(key.sign({})) ==
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
        "f9b46bd25bf5f0595bbe24655141438e7a100b");
}

TEST_CASE("a new key of each type signs what its public key verifies, and reads back") {
    for (const KeyType type : kTypes) {
        CAPTURE(static_cast<int>(type));
        const PrivateKey key = new_key(type);
        const Bytes message = as_bytes("a message");
        const auto signature = key.sign(message);
        CHECK(key.public_key().type() == type);
        CHECK(key.public_key().verify(message, signature));
        const auto again = PrivateKey::from_protobuf(key.protobuf());
        REQUIRE(again);
        CHECK(again->public_key() == key.public_key());
        CHECK(again->protobuf() == key.protobuf());
        const auto public_again = PublicKey::from_protobuf(key.public_key().protobuf());
        REQUIRE(public_again);
        CHECK(public_again->verify(message, again->sign(message)));
    }
}

TEST_CASE("another message, another key and a changed signature do not verify") {
    for (const KeyType type : {KeyType::ed25519, KeyType::secp256k1, KeyType::ecdsa}) {
        CAPTURE(static_cast<int>(type));
        const PrivateKey key = new_key(type);
        auto signature = key.sign(as_bytes("a message"));
        CHECK_FALSE(key.public_key().verify(as_bytes("a massage"), signature));
        CHECK_FALSE(new_key(type).public_key().verify(as_bytes("a message"), signature));
        CHECK_FALSE(key.public_key().verify(as_bytes("a message"), {}));
        signature.back() ^= std::byte{1};
        CHECK_FALSE(key.public_key().verify(as_bytes("a message"), signature));
        signature.pop_back();
        CHECK_FALSE(key.public_key().verify(as_bytes("a message"), signature));
    }
}

TEST_CASE("signatures on the curves have the lower S") {
    const std::vector<std::pair<KeyType, std::string_view>> half_orders = {
        {KeyType::secp256k1, "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0"},
        {KeyType::ecdsa, "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8"}};
    for (const auto& [type, half_order] : half_orders) {
        const PrivateKey key = new_key(type);
        for (int i = 0; i < 40; ++i) {
            const std::string message = "message " + std::to_string(i);
            const auto signature = key.sign(as_bytes(message));
            CHECK(to_hex(s_of(signature)) <= half_order);
            CHECK(key.public_key().verify(as_bytes(message), signature));
        }
    }
}

TEST_CASE("one key signs on several threads at once") {
    for (const KeyType type : kTypes) {
        const PrivateKey key = new_key(type);
        std::array<int, 3> verified{};
        {
            std::vector<std::jthread> threads;
            for (int& count : verified) {
                threads.emplace_back([&count, key] {
                    for (int i = 0; i < 5; ++i) {
                        const auto signature = key.sign(as_bytes("a message"));
                        if (key.public_key().verify(as_bytes("a message"), signature)) ++count;
                    }
                });
            }
        }
        CHECK(verified == std::array<int, 3>{5, 5, 5});
    }
}

TEST_CASE("the old form of an Ed25519 key, with the public key twice, reads as the new one") {
    const std::string_view key = kVectors[0].private_key;
    const std::string_view public_key = key.substr(key.size() - 64);
    const std::string old_form = "08011260" + std::string(key.substr(8)) + std::string(public_key);
    const auto read = PrivateKey::from_protobuf(from_hex(old_form));
    REQUIRE(read);
    CHECK(to_hex(read->protobuf()) == key);
    std::string changed = old_form;
    changed.back() ^= 1;
    CHECK(private_error(changed) == Errc::malformed);
}

TEST_CASE("an Ed25519 key whose public half is another's is malformed") {
    std::string key(kVectors[0].private_key);
    key.back() = 'f';
    CHECK(private_error(key) == Errc::malformed);
}

TEST_CASE("scalars of 0 and from the curve's order on are no keys") {
    const std::string zero(64, '0');
    CHECK(private_error("08021220" + zero) == Errc::malformed);
    CHECK(
        private_error("08021220fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141") ==
        Errc::malformed);
    CHECK(private_error("0802121f" + zero.substr(2)) == Errc::malformed);
    CHECK(private_error("08031227302502010104"
                        "20" +
                        zero) == Errc::malformed);
}

TEST_CASE("a SEC 1 key without its optional fields reads and is written with them") {
    const std::string scalar = "3e5b1fe9712e6c314942a750bd67485de3c1efe85b1bfb520ae8f9ae3dfa4a4c";
    const auto key = PrivateKey::from_protobuf(from_hex("0803122730250201010420" + scalar));
    REQUIRE(key);
    CHECK(to_hex(key->protobuf()) == kVectors[2].private_key);
}

TEST_CASE("a SEC 1 key with another's point or another curve is refused") {
    std::string key(kVectors[2].private_key);
    key.back() ^= 1;
    CHECK(private_error(key) == Errc::malformed);
    const std::string scalar = "3e5b1fe9712e6c314942a750bd67485de3c1efe85b1bfb520ae8f9ae3dfa4a4c";
    CHECK(private_error("08031230302e0201010420" + scalar + "a00706052b8104000a") ==
          Errc::unsupported);
}

TEST_CASE("a serialized key has one form") {
    const std::string ed25519 = "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
    CHECK(PublicKey::from_protobuf(from_hex("08011220" + ed25519)));
    for (const std::string& bytes : {std::string(),
                                     std::string("08"),
                                     std::string("0801"),
                                     std::string("080112"),
                                     "1220" + ed25519 + "0801",      // the fields in another order
                                     "1220" + ed25519,               // no type
                                     "0881001220" + ed25519,         // a type that is not minimal
                                     "080112a000" + ed25519,         // a length that is not minimal
                                     "08011220" + ed25519 + "00",    // bytes behind it
                                     "08011220" + ed25519 + "1800",  // another field
                                     "08011221" + ed25519,           // a length beyond the end
                                     "0801121f" + ed25519,           // a length before the end
                                     "080112a08080808001" + ed25519,
                                     "0801121f" + ed25519.substr(2),
                                     "08011221" + ed25519 + "00"}) {
        CAPTURE(bytes);
        CHECK(public_error(bytes) == Errc::malformed);
    }
    CHECK(public_error("08041220" + ed25519) == Errc::unsupported);
    CHECK(public_error("087f1220" + ed25519) == Errc::unsupported);
}

TEST_CASE("a secp256k1 key is a compressed point on its curve") {
    const std::string x = "7777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99";
    CHECK(PublicKey::from_protobuf(from_hex("0802122102" + x)));
    for (const std::string& bytes : std::vector<std::string>{
             "0802122104" + x,
             "0802122106" + x,
             "0802122100" + x,
             "08021220" + x,                              // no first byte
             "0802122102" + std::string(64, 'f'),         // x above the field's prime
             "0802122102" + std::string(62, '0') + "05",  // no point has this x
             std::string("0802120100"),                   // the point at infinity
             "0802124104" + x + x}) {
        CAPTURE(bytes);
        CHECK(public_error(bytes) == Errc::malformed);
    }
}

TEST_CASE("an ECDSA key is an uncompressed point on P-256 in its only encoding") {
    const std::string good(kVectors[2].public_key);
    std::string off_curve = good;
    off_curve.back() ^= 1;
    CHECK(public_error(off_curve) == Errc::malformed);
    CHECK(public_error(good.substr(0, good.size() - 2)) == Errc::malformed);
    const std::string x = "de3d300fa36ae0e8f5d530899d83abab44abf3161f162a4bc901d8e6ecda020e";
    CHECK(public_error("0803123b3039301306072a8648ce3d020106082a8648ce3d03010703220002" + x) ==
          Errc::malformed);
    CHECK(public_error("0803127a3078301006072a8648ce3d020106052b81040022036400" +
                       std::string(200, '0') + "00") == Errc::malformed);
    CHECK(public_error("0803127830763010"
                       "06072a8648ce3d020106052b81040022036200" +
                       std::string(194, '1')) == Errc::unsupported);
}
