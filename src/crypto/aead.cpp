#include "crypto/aead.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.hpp"
#include "crypto/openssl.hpp"
#include "crypto/secret.hpp"

namespace kwaai::crypto {
namespace {

constexpr std::size_t kKeyBytes = 32;
// OpenSSL goes over what it is given twice, for the cipher and for the tag: a tenth faster in
// pieces that stay in the innermost cache than with 64 KiB at once.
constexpr std::size_t kPieceBytes = 8192;
using Iv = std::array<unsigned char, 12>;

const EVP_CIPHER* algorithm() {
    static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
    KWAAI_CHECK(cipher != nullptr, "OpenSSL has ChaCha20-Poly1305");
    return cipher;
}

Iv iv_of(std::uint64_t nonce) {
    Iv iv{};
    for (std::size_t i = 0; i < 8; ++i)
        iv[4 + i] = static_cast<unsigned char>(nonce >> (8 * i));
    return iv;
}

/// One pass over a message, without its tag. Only the nonce is new: the context keeps the key.
void run(EVP_CIPHER_CTX* context,
         bool encrypts,
         std::uint64_t nonce,
         Bytes associated,
         Bytes from,
         MutableBytes to) {
    constexpr std::size_t kMax = std::numeric_limits<int>::max();
    KWAAI_CHECK(from.size() <= kMax && associated.size() <= kMax, "messages fit an int");
    const Iv iv = iv_of(nonce);
    int written = 0;
    bool is_well =
        EVP_CipherInit_ex2(context, nullptr, nullptr, iv.data(), encrypts ? 1 : 0, nullptr) == 1;
    if (!associated.empty())
        is_well = is_well && EVP_CipherUpdate(context,
                                              nullptr,
                                              &written,
                                              detail::in(associated),
                                              static_cast<int>(associated.size())) == 1;
    while (!from.empty() && is_well) {
        const std::size_t count = std::min(from.size(), kPieceBytes);
        is_well =
            EVP_CipherUpdate(
                context, detail::out(to), &written, detail::in(from), static_cast<int>(count)) == 1;
        from = from.subspan(count);
        to = to.subspan(count);
    }
    KWAAI_CHECK(is_well, "ChaCha20-Poly1305 runs");
}

}  // namespace

struct ChaChaPoly::State {
    detail::CipherContext context;
};

ChaChaPoly::ChaChaPoly(Bytes key)
    : state_(std::make_unique<State>(detail::CipherContext(EVP_CIPHER_CTX_new()))) {
    KWAAI_CHECK(key.size() == kKeyBytes, "a key of ChaCha20-Poly1305 has 32 bytes");
    KWAAI_CHECK(
        state_->context &&
            EVP_CipherInit_ex2(
                state_->context.get(), algorithm(), detail::in(key), nullptr, 1, nullptr) == 1,
        "ChaCha20-Poly1305 takes its key");
}

ChaChaPoly::ChaChaPoly(ChaChaPoly&&) noexcept = default;
ChaChaPoly& ChaChaPoly::operator=(ChaChaPoly&&) noexcept = default;
ChaChaPoly::~ChaChaPoly() = default;

void ChaChaPoly::seal(std::uint64_t nonce, Bytes associated, Bytes plain, MutableBytes sealed) {
    KWAAI_CHECK(sealed.size() == plain.size() + kTagBytes, "a sealed message has a tag behind it");
    EVP_CIPHER_CTX* const context = state_->context.get();
    run(context, true, nonce, associated, plain, sealed);
    const MutableBytes tag = sealed.last(kTagBytes);
    int written = 0;
    KWAAI_CHECK(EVP_CipherFinal_ex(context, detail::out(tag), &written) == 1 &&
                    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag.data()) == 1,
                "ChaCha20-Poly1305 gives its tag");
}

Result<> ChaChaPoly::open(std::uint64_t nonce, Bytes associated, Bytes sealed, MutableBytes plain) {
    const detail::ErrorQueueGuard guard;
    if (sealed.size() < kTagBytes)
        return fail(Errc::malformed,
                    "a sealed message of " + std::to_string(sealed.size()) +
                        " bytes is shorter than its tag");
    KWAAI_CHECK(plain.size() == sealed.size() - kTagBytes, "a plain message has no tag");
    EVP_CIPHER_CTX* const context = state_->context.get();
    // OpenSSL takes the tag by a mutable pointer.
    std::array<std::byte, kTagBytes> tag;
    std::memcpy(tag.data(), sealed.last(kTagBytes).data(), kTagBytes);
    run(context, false, nonce, associated, sealed.first(plain.size()), plain);
    int written = 0;
    std::array<unsigned char, kTagBytes> nothing;
    if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) != 1 ||
        EVP_CipherFinal_ex(context, nothing.data(), &written) != 1) {
        wipe(plain);  // nobody reads what nobody vouched for
        return fail(Errc::malformed, "the tag of a sealed message is wrong");
    }
    return {};
}

}  // namespace kwaai::crypto
