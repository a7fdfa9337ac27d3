#include "crypto/hash.hpp"

#include <string>

#include <doctest/doctest.h>

#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::crypto;
using testing::to_hex;

TEST_CASE("SHA-256 gives the digests of FIPS 180-4") {
    CHECK(to_hex(sha256({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(to_hex(sha256(as_bytes("abc"))) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(to_hex(sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))) ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("SHA-1 gives the digests of FIPS 180-4") {
    CHECK(to_hex(sha1(as_bytes("abc"))) == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(to_hex(sha1({})) == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

TEST_CASE("a digest of pieces is that of the whole, and the object begins anew") {
    Sha256 hash;
    hash.update(as_bytes("a"));
    hash.update({});
    hash.update(as_bytes("bc"));
    CHECK(hash.finish() == sha256(as_bytes("abc")));
    CHECK(hash.finish() == sha256({}));
    hash.update(as_bytes("abc"));
    CHECK(hash.finish() == sha256(as_bytes("abc")));
}

TEST_CASE("HMAC gives the codes of RFC 4231") {
    const std::vector<std::byte> short_key(20, std::byte{0x0b});
    CHECK(to_hex(hmac_sha256(short_key, as_bytes("Hi There"))) ==
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    CHECK(to_hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))) ==
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    const std::vector<std::byte> long_key(131, std::byte{0xaa});
    CHECK(to_hex(hmac_sha256(long_key,
                             as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))) ==
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("equality in constant time is equality") {
    CHECK(equal_in_constant_time({}, {}));
    CHECK(equal_in_constant_time(as_bytes("abc"), as_bytes("abc")));
    CHECK_FALSE(equal_in_constant_time(as_bytes("abc"), as_bytes("abd")));
    CHECK_FALSE(equal_in_constant_time(as_bytes("abc"), as_bytes("ab")));
    CHECK_FALSE(equal_in_constant_time({}, as_bytes("a")));
}
