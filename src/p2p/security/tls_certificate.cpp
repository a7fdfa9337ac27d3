#include "p2p/security/tls_certificate.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/check.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::string_view kSignaturePrefix = "libp2p-tls-handshake:";
constexpr std::chrono::hours kClockSkew{1};
constexpr std::chrono::years kValidity{100};

constexpr std::uint8_t kOctetString = 0x04;
constexpr std::uint8_t kSequence = 0x30;
constexpr std::size_t kPartBytesMax = 4095;

void append_header(codec::Buffer& out, std::uint8_t tag, std::size_t size) {
    out.push_back(std::byte{tag});
    if (size >= 0x100) {
        out.push_back(std::byte{0x82});
        out.push_back(static_cast<std::byte>(size >> 8));
    } else if (size >= 0x80) {
        out.push_back(std::byte{0x81});
    }
    out.push_back(static_cast<std::byte>(size & 0xff));
}

// The content of the element at the front, which is removed; nothing where that has another tag,
// is cut short, or does not give its length in the shortest way.
std::optional<Bytes> take_element(Bytes& bytes, std::uint8_t tag) {
    if (bytes.size() < 2 || bytes[0] != std::byte{tag}) return std::nullopt;
    auto size = std::to_integer<std::size_t>(bytes[1]);
    std::size_t header = 2;
    if (size >= 0x80) {
        const std::size_t count = size - 0x80;
        if (count < 1 || count > 2 || bytes.size() < header + count) return std::nullopt;
        size = 0;
        for (std::size_t i = 0; i < count; ++i)
            size = size << 8 | std::to_integer<std::size_t>(bytes[header + i]);
        if (size < (count == 1 ? 0x80U : 0x100U)) return std::nullopt;
        header += count;
    }
    if (bytes.size() - header < size) return std::nullopt;
    const Bytes content = bytes.subspan(header, size);
    bytes = bytes.subspan(header + size);
    return content;
}

// The value of the one extension that says who the peer is.
Result<Bytes> find_identity(const crypto::Certificate& certificate) {
    std::optional<Bytes> value;
    for (const crypto::CertificateExtension& extension : certificate.extensions) {
        if (extension.oid == kIdentityExtension) {
            if (value) return fail(Errc::malformed, "the peer's certificate says twice who it is");
            value = extension.value;
        } else if (extension.is_critical) {
            return fail(Errc::malformed,
                        "the peer's certificate has a critical extension that is not known: " +
                            extension.oid);
        }
    }
    if (!value) return fail(Errc::malformed, "the peer's certificate does not say who it is");
    return *value;
}

}  // namespace

codec::Buffer write_signed_key(const SignedKey& signed_key) {
    KWAAI_CHECK(signed_key.identity_key.size() <= kPartBytesMax &&
                    signed_key.signature.size() <= kPartBytesMax,
                "keys and signatures are small");
    codec::Buffer content;
    append_header(content, kOctetString, signed_key.identity_key.size());
    codec::append(content, signed_key.identity_key);
    append_header(content, kOctetString, signed_key.signature.size());
    codec::append(content, signed_key.signature);
    codec::Buffer der;
    append_header(der, kSequence, content.size());
    codec::append(der, content);
    return der;
}

Result<SignedKey> read_signed_key(Bytes der) {
    const auto malformed = [] {
        return fail(Errc::malformed, "a certificate's identity is no SignedKey in DER");
    };
    std::optional<Bytes> content = take_element(der, kSequence);
    if (!content || !der.empty()) return malformed();
    const std::optional<Bytes> key = take_element(*content, kOctetString);
    const std::optional<Bytes> signature = take_element(*content, kOctetString);
    if (!key || !signature || !content->empty() || key->size() > kPartBytesMax ||
        signature->size() > kPartBytesMax)
        return malformed();
    return SignedKey{.identity_key = codec::to_buffer(*key),
                     .signature = codec::to_buffer(*signature)};
}

codec::Buffer signed_certificate_key(Bytes public_key_info) {
    codec::Buffer bytes;
    bytes.reserve(kSignaturePrefix.size() + public_key_info.size());
    codec::append(bytes, kSignaturePrefix);
    codec::append(bytes, public_key_info);
    return bytes;
}

codec::Buffer make_tls_certificate(const crypto::CertificateKey& key,
                                   const crypto::PrivateKey& identity,
                                   std::chrono::sys_seconds now) {
    const SignedKey signed_key{
        .identity_key = codec::to_buffer(identity.public_key().protobuf()),
        .signature = identity.sign(signed_certificate_key(key.public_key_info()))};
    return key.certify({.not_before = now - kClockSkew,
                        .not_after = now + kValidity,
                        .extensions = {{.oid = std::string(kIdentityExtension),
                                        .is_critical = false,
                                        .value = write_signed_key(signed_key)}}});
}

Result<crypto::PublicKey> verify_tls_chain(std::span<const Bytes> chain,
                                           std::chrono::sys_seconds now,
                                           const std::optional<PeerId>& expected,
                                           SignatureLimiter* limiter) {
    if (chain.size() != 1)
        return fail(
            Errc::malformed,
            "the peer shows " + std::to_string(chain.size()) + " certificates, exactly 1 expected");
    const auto admit = [limiter](crypto::KeyType type) -> Result<> {
        if (limiter == nullptr) return {};
        return limiter->admit(type);
    };
    KWAAI_TRY(const crypto::Certificate certificate, crypto::read_certificate(chain[0], admit));
    if (certificate.has_unique_ids)
        return fail(Errc::malformed, "the peer's certificate has a deprecated unique id");
    if (now < certificate.not_before)
        return fail(Errc::malformed, "the peer's certificate is not valid yet");
    if (now > certificate.not_after)
        return fail(Errc::malformed, "the peer's certificate has expired");
    KWAAI_TRY(const Bytes identity, find_identity(certificate));
    KWAAI_TRY(const SignedKey signed_key, read_signed_key(identity));
    KWAAI_TRY(crypto::PublicKey key, crypto::PublicKey::from_protobuf(signed_key.identity_key));
    // Before the signature: the wrong peer is the likelier case, and costs less.
    if (expected && !expected->matches(key))
        return std::unexpected<Error>(wrong_peer_error(PeerId::of(key), *expected));
    KWAAI_CHECKED(admit(key.type()));
    if (!key.verify(signed_certificate_key(certificate.public_key_info), signed_key.signature))
        return fail(Errc::malformed,
                    "the signature of " + PeerId::of(key).to_text() +
                        " is not over the key of its certificate");
    return key;
}

}  // namespace kwaai::p2p
