// Key agreement and authenticated encryption.
#include <array>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "crypto/aead.hpp"
#include "crypto/random.hpp"
#include "crypto/x25519.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::crypto;

namespace {

using testing::from_hex;
using testing::to_hex;

std::vector<std::byte> sealed(ChaChaPoly& cipher,
                              std::uint64_t nonce,
                              Bytes associated,
                              std::string_view plain) {
    std::vector<std::byte> out(plain.size() + kTagBytes);
    cipher.seal(nonce, associated, as_bytes(plain), out);
    return out;
}

// A transport key of the session in libp2p-noise-vector.txt, which js-libp2p confirmed.
ChaChaPoly noise_cipher() {
    return ChaChaPoly(from_hex("530c3f6f9316268d31d426e3ead445b1a0d92fd664e2cd0d220bcb0e7ac62a80"));
}

}  // namespace

TEST_CASE("X25519 agrees as in RFC 7748, section 5.2") {
    const auto shared =
        x25519(from_hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
               from_hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"));
    REQUIRE(shared);
    CHECK(to_hex(*shared) == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
}

TEST_CASE("the public half of an X25519 secret is RFC 7748's, section 6.1") {
    const X25519Pair pair =
        x25519_pair(from_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    CHECK(to_hex(pair.public_key) ==
          "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
}

TEST_CASE("both sides of X25519 find the same secret") {
    const X25519Pair a = generate_x25519();
    const X25519Pair b = generate_x25519();
    CHECK(a.public_key != b.public_key);
    const auto from_a = x25519(a.secret, b.public_key);
    const auto from_b = x25519(b.secret, a.public_key);
    REQUIRE(from_a);
    REQUIRE(from_b);
    CHECK(*from_a == *from_b);
}

TEST_CASE("a point of small order and a key of another length are malformed") {
    const X25519Pair own = generate_x25519();
    std::array<std::byte, 32> point{};
    CHECK(x25519(own.secret, point).error().code == Errc::malformed);
    point[0] = std::byte{1};
    CHECK(x25519(own.secret, point).error().code == Errc::malformed);
    CHECK(x25519(own.secret, as_bytes("short")).error().code == Errc::malformed);
}

TEST_CASE("messages are sealed with Noise's nonces") {
    ChaChaPoly cipher = noise_cipher();
    CHECK(to_hex(sealed(cipher, 0, {}, "hello")) == "230247bb1fe59de7e6c327a703765ce954be48cd22");
    CHECK(to_hex(sealed(cipher, 1, {}, "")) == "089e3f9f2f7f7aef3f25ecaca786ad21");
    // Made with Python's cryptography.
    CHECK(to_hex(sealed(cipher, 0x0102030405060708, as_bytes("more"), "a secret")) ==
          "67f19763d3507863caad8808f74a2bbefb2266fdfc20ce24");
}

TEST_CASE("a long message, which OpenSSL gets in pieces, is sealed and opened as in one") {
    std::vector<std::byte> key(32);
    for (std::size_t i = 0; i < key.size(); ++i)
        key[i] = static_cast<std::byte>(i);
    ChaChaPoly cipher(key);
    std::string text(20000, '\0');
    for (std::size_t i = 0; i < text.size(); ++i)
        text[i] = static_cast<char>(i * 31 >> 3);
    const std::vector<std::byte> message = sealed(cipher, 9, {}, text);
    // The tag that Python's cryptography gives.
    CHECK(to_hex(Bytes(message).last(kTagBytes)) == "aa63dec80786fb535da9896ea1ecc5f8");
    std::vector<std::byte> plain(text.size());
    REQUIRE(cipher.open(9, {}, message, plain));
    CHECK(as_text(plain) == text);
}

TEST_CASE("a message opens with its nonce and associated bytes, in place too") {
    ChaChaPoly cipher = noise_cipher();
    std::vector<std::byte> message = sealed(cipher, 7, as_bytes("more"), "a secret");
    std::vector<std::byte> plain(message.size() - kTagBytes);
    REQUIRE(cipher.open(7, as_bytes("more"), message, plain));
    CHECK(as_text(plain) == "a secret");
    REQUIRE(cipher.open(
        7, as_bytes("more"), message, MutableBytes(message).first(message.size() - kTagBytes)));
    CHECK(as_text(message).substr(0, 8) == "a secret");
}

TEST_CASE("sealing in place gives the same bytes") {
    ChaChaPoly cipher = noise_cipher();
    std::vector<std::byte> message(5 + kTagBytes);
    std::memcpy(message.data(), "hello", 5);
    cipher.seal(0, {}, Bytes(message).first(5), message);
    CHECK(to_hex(message) == "230247bb1fe59de7e6c327a703765ce954be48cd22");
}

TEST_CASE("a changed message, nonce or associated byte is refused and leaves no plain text") {
    ChaChaPoly cipher = noise_cipher();
    const std::vector<std::byte> message = sealed(cipher, 7, as_bytes("more"), "a secret");
    std::vector<std::byte> plain(8, std::byte{1});
    for (std::size_t i = 0; i < message.size(); ++i) {
        std::vector<std::byte> changed = message;
        changed[i] ^= std::byte{1};
        const auto opened = cipher.open(7, as_bytes("more"), changed, plain);
        REQUIRE_FALSE(opened);
        CHECK(opened.error().code == Errc::malformed);
        CHECK(plain == std::vector<std::byte>(8));
    }
    CHECK_FALSE(cipher.open(8, as_bytes("more"), message, plain));
    CHECK_FALSE(cipher.open(7, as_bytes("mora"), message, plain));
    CHECK_FALSE(cipher.open(7, {}, message, plain));
    CHECK(cipher.open(7, as_bytes("more"), message, plain));
}

TEST_CASE("what is shorter than a tag is malformed") {
    ChaChaPoly cipher = noise_cipher();
    const std::vector<std::byte> message(kTagBytes - 1);
    CHECK(cipher.open(0, {}, message, {}).error().code == Errc::malformed);
}

TEST_CASE("an empty message still has its tag checked") {
    ChaChaPoly cipher = noise_cipher();
    std::vector<std::byte> message = sealed(cipher, 3, as_bytes("x"), "");
    CHECK(cipher.open(3, as_bytes("x"), message, {}));
    message[0] ^= std::byte{1};
    CHECK_FALSE(cipher.open(3, as_bytes("x"), message, {}));
}

TEST_CASE("random bytes differ") {
    std::array<std::byte, 32> a{};
    std::array<std::byte, 32> b{};
    fill_random(a);
    fill_random(b);
    CHECK(a != b);
    fill_random({});
}
