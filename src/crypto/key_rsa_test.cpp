#include <string>
#include <vector>

#include "crypto/der.hpp"
#include "crypto/key.hpp"
#include "testing/fixtures.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::crypto;
using detail::append_der;

namespace {

using testing::from_hex;

constexpr std::string_view kAlgorithm = "06092a864886f70d0101010500";

/// An odd number of so many bits.
std::vector<std::byte> number_of_bits(unsigned bits) {
    std::vector<std::byte> number((bits + 7) / 8, std::byte{0xff});
    if (bits % 8 != 0) number[0] = static_cast<std::byte>(0xff >> (8 - bits % 8));
    if (bits % 8 == 0) number.insert(number.begin(), std::byte{0});  // not negative
    return number;
}

struct SpkiParts {
    std::vector<std::byte> modulus = number_of_bits(2048);  // as in DER
    std::vector<std::byte> exponent = from_hex("010001");
    std::string_view algorithm = kAlgorithm;
    std::byte unused_bits{0};
};

SecretBytes spki(const SpkiParts& parts) {
    SecretBytes pair;
    append_der(pair, detail::kDerInteger, parts.modulus);
    append_der(pair, detail::kDerInteger, parts.exponent);
    SecretBytes bits(1, parts.unused_bits);
    append_der(bits, detail::kDerSequence, pair);
    SecretBytes info;
    append_der(info, detail::kDerSequence, from_hex(parts.algorithm));
    append_der(info, detail::kDerBitString, bits);
    SecretBytes whole;
    append_der(whole, detail::kDerSequence, info);
    return whole;
}

Result<PublicKey> read(const SpkiParts& parts) {
    return PublicKey::from_data(KeyType::rsa, spki(parts));
}

Errc error_of(Bytes data) {
    const auto key = PublicKey::from_data(KeyType::rsa, data);
    REQUIRE_FALSE(key);
    return key.error().code;
}

}  // namespace

TEST_CASE("RSA keys of 2048 to 8192 bits are taken (CVE-2023-39533)") {
    CHECK(read({.modulus = number_of_bits(2048)}));
    CHECK(read({.modulus = number_of_bits(2049)}));
    CHECK(read({.modulus = number_of_bits(8192)}));
    CHECK(read({.modulus = number_of_bits(1024)}).error().code == Errc::unsupported);
    CHECK(read({.modulus = number_of_bits(2047)}).error().code == Errc::unsupported);
    CHECK(read({.modulus = number_of_bits(8193)}).error().code == Errc::unsupported);
}

TEST_CASE("an RSA key that would be many kilobytes long is not looked at") {
    CHECK(error_of(std::vector<std::byte>(100000)) == Errc::malformed);
}

TEST_CASE("new RSA keys have an allowed size") {
    CHECK(PrivateKey::generate(KeyType::rsa, 1024).error().code == Errc::invalid_argument);
    CHECK(PrivateKey::generate(KeyType::rsa, 16384).error().code == Errc::invalid_argument);
}

TEST_CASE("an RSA key has odd numbers and a small exponent") {
    CHECK(read({.exponent = from_hex("03")}));
    CHECK(read({.exponent = from_hex("7fffffff")}));
    for (const std::string_view exponent : {"00", "01", "02", "010000", "0080000001", "0100000001"})
        CHECK(read({.exponent = from_hex(exponent)}).error().code == Errc::malformed);
    std::vector<std::byte> even = number_of_bits(2048);
    even.back() = std::byte{0xfe};
    CHECK(read({.modulus = even}).error().code == Errc::malformed);
}

TEST_CASE("numbers in another encoding than DER's are malformed") {
    std::vector<std::byte> padded = number_of_bits(2047);
    padded.insert(padded.begin(), std::byte{0});
    CHECK(read({.modulus = padded}).error().code == Errc::malformed);
    std::vector<std::byte> negative = number_of_bits(2048);
    negative.erase(negative.begin());
    CHECK(read({.modulus = negative}).error().code == Errc::malformed);
    CHECK(read({.exponent = {}}).error().code == Errc::malformed);
}

TEST_CASE("another algorithm, missing parameters and unused bits are malformed") {
    CHECK(read({.algorithm = "06092a864886f70d01010a0500"}).error().code ==
          Errc::malformed);  // PSS
    CHECK(read({.algorithm = "06092a864886f70d010101"}).error().code == Errc::malformed);
    CHECK(read({.unused_bits = std::byte{1}}).error().code == Errc::malformed);
}

TEST_CASE("every cut and every byte behind an RSA key makes it malformed") {
    const SecretBytes whole = spki({});
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK(error_of(Bytes(whole).first(size)) == Errc::malformed);
    SecretBytes longer = whole;
    longer.push_back(std::byte{0});
    CHECK(error_of(longer) == Errc::malformed);
}

TEST_CASE("a length in more bytes than it needs is malformed") {
    const SecretBytes whole = spki({});
    REQUIRE(whole[1] == std::byte{0x82});
    SecretBytes longer = whole;
    longer[1] = std::byte{0x83};
    longer.insert(longer.begin() + 2, std::byte{0});
    CHECK(error_of(longer) == Errc::malformed);
}

TEST_CASE("an RSA private key whose numbers do not fit together is malformed") {
    KWAAI_FIXTURE(path, "libp2p/go-crypto/0.priv");
    const auto good = testing::read_file(path);
    REQUIRE(PrivateKey::from_protobuf(good));
    int refused = 0;
    for (std::size_t at = 20; at < good.size(); at += 97) {
        auto changed = good;
        changed[at] ^= std::byte{2};
        const auto key = PrivateKey::from_protobuf(changed);
        REQUIRE_FALSE(key);
        if (key.error().code == Errc::malformed) ++refused;
    }
    CHECK(refused >= 10);
}

TEST_CASE("a changed RSA signature does not verify") {
    KWAAI_FIXTURE(path, "libp2p/go-crypto/0.priv");
    const auto key = PrivateKey::from_protobuf(testing::read_file(path));
    REQUIRE(key);
    auto signature = key->sign(as_bytes("a message"));
    CHECK(signature.size() == 256);
    CHECK(key->public_key().verify(as_bytes("a message"), signature));
    CHECK_FALSE(key->public_key().verify(as_bytes("a massage"), signature));
    signature[100] ^= std::byte{1};
    CHECK_FALSE(key->public_key().verify(as_bytes("a message"), signature));
    signature.pop_back();
    CHECK_FALSE(key->public_key().verify(as_bytes("a message"), signature));
    CHECK_FALSE(key->public_key().verify(as_bytes("a message"), {}));
}
