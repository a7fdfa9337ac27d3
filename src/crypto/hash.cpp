#include "crypto/hash.hpp"

#include <algorithm>
#include <initializer_list>

#include <openssl/crypto.h>

#include "base/check.hpp"
#include "crypto/openssl.hpp"
#include "crypto/secret.hpp"

namespace kwaai::crypto {
namespace {

constexpr std::size_t kBlockBytes = 64;

detail::MdContext new_context() {
    detail::MdContext context(EVP_MD_CTX_new());
    KWAAI_CHECK(context, "out of memory");
    return context;
}

void start(EVP_MD_CTX* context) {
    KWAAI_CHECK(EVP_DigestInit_ex2(context, detail::sha256_algorithm(), nullptr) == 1,
                "SHA-256 starts");
}

void feed(EVP_MD_CTX* context, Bytes bytes) {
    KWAAI_CHECK(EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1, "SHA-256 runs");
}

Digest end(EVP_MD_CTX* context) {
    Digest digest;
    KWAAI_CHECK(EVP_DigestFinal_ex(context, detail::out(digest), nullptr) == 1, "SHA-256 ends");
    return digest;
}

/// The digest of the pieces put together, in a context that the thread keeps.
Digest digest_of(std::initializer_list<Bytes> pieces) {
    thread_local const detail::MdContext context = new_context();
    start(context.get());
    for (const Bytes piece : pieces) {
        feed(context.get(), piece);
    }
    return end(context.get());
}

}  // namespace

const EVP_MD* detail::sha256_algorithm() {
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    KWAAI_CHECK(algorithm != nullptr, "OpenSSL has SHA-256");
    return algorithm;
}

Digest sha256(Bytes bytes) {
    return digest_of({bytes});
}

std::array<std::byte, 20> sha1(Bytes bytes) {
    std::array<std::byte, 20> digest;
    KWAAI_CHECK(
        EVP_Digest(bytes.data(), bytes.size(), detail::out(digest), nullptr, EVP_sha1(), nullptr) ==
            1,
        "OpenSSL has SHA-1");
    return digest;
}

// By hand over the kept context, since EVP_MAC makes several for each message.
Digest hmac_sha256(Bytes key, Bytes message) {
    std::array<std::byte, kBlockBytes> block{};
    Digest hashed_key;
    if (key.size() > kBlockBytes) {
        hashed_key = sha256(key);
        key = hashed_key;
    }
    std::ranges::copy(key, block.begin());
    for (std::byte& b : block)
        b ^= std::byte{0x36};
    const Digest inner = digest_of({block, message});
    for (std::byte& b : block)
        b ^= std::byte{0x36 ^ 0x5c};
    const Digest digest = digest_of({block, inner});
    wipe(block);
    return digest;
}

struct Sha256::State {
    detail::MdContext context = new_context();
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
    start(state_->context.get());
}

Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(Bytes bytes) {
    feed(state_->context.get(), bytes);
}

Digest Sha256::finish() {
    const Digest digest = end(state_->context.get());
    start(state_->context.get());
    return digest;
}

bool equal_in_constant_time(Bytes a, Bytes b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace kwaai::crypto
