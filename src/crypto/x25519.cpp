#include "crypto/x25519.hpp"

#include "base/check.hpp"
#include "crypto/openssl.hpp"
#include "crypto/random.hpp"

namespace kwaai::crypto {
namespace {

constexpr std::size_t kKeyBytes = 32;

detail::Pkey private_key(Bytes secret) {
    KWAAI_CHECK(secret.size() == kKeyBytes, "an X25519 secret has 32 bytes");
    detail::Pkey key(EVP_PKEY_new_raw_private_key_ex(
        nullptr, "X25519", nullptr, detail::in(secret), secret.size()));
    KWAAI_CHECK(key, "OpenSSL has X25519");
    return key;
}

}  // namespace

X25519Pair generate_x25519() {
    SecretBytes secret(kKeyBytes);
    fill_random(secret);
    return x25519_pair(secret);
}

X25519Pair x25519_pair(Bytes secret) {
    const detail::Pkey key = private_key(secret);
    X25519Pair pair{.secret = SecretBytes(secret.begin(), secret.end())};
    std::size_t size = pair.public_key.size();
    KWAAI_CHECK(EVP_PKEY_get_raw_public_key(key.get(), detail::out(pair.public_key), &size) == 1,
                "a public key follows from a secret");
    return pair;
}

Result<SecretBytes> x25519(Bytes secret, Bytes public_key) {
    const detail::ErrorQueueGuard guard;
    if (public_key.size() != kKeyBytes)
        return fail(Errc::malformed,
                    "an X25519 public key has 32 bytes, not " + std::to_string(public_key.size()));
    const detail::Pkey own = private_key(secret);
    const detail::Pkey other(EVP_PKEY_new_raw_public_key_ex(
        nullptr, "X25519", nullptr, detail::in(public_key), public_key.size()));
    const detail::PkeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, own.get(), nullptr));
    KWAAI_CHECK(other && context && EVP_PKEY_derive_init(context.get()) == 1 &&
                    EVP_PKEY_derive_set_peer_ex(context.get(), other.get(), 0) == 1,
                "OpenSSL agrees on keys");
    SecretBytes shared(kKeyBytes);
    std::size_t size = shared.size();
    // OpenSSL compares the result with zeros itself (RFC 7748, section 6.1).
    if (EVP_PKEY_derive(context.get(), detail::out(shared), &size) != 1)
        return fail(Errc::malformed, "the other's X25519 key is a point of small order");
    return shared;
}

}  // namespace kwaai::crypto
