#include "crypto/certificate.hpp"

#include <array>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string_view>
#include <utility>

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.hpp"
#include "crypto/certificate_key.hpp"
#include "crypto/key.hpp"
#include "crypto/random.hpp"

namespace kwaai::crypto {
namespace {

using detail::in;
using detail::out;
using X509Owner = std::unique_ptr<X509, detail::Freer<X509_free>>;
using NameOwner = std::unique_ptr<X509_NAME, detail::Freer<X509_NAME_free>>;
using ObjectOwner = std::unique_ptr<ASN1_OBJECT, detail::Freer<ASN1_OBJECT_free>>;
using OctetsOwner = std::unique_ptr<ASN1_OCTET_STRING, detail::Freer<ASN1_OCTET_STRING_free>>;
using ExtensionOwner = std::unique_ptr<X509_EXTENSION, detail::Freer<X509_EXTENSION_free>>;

constexpr int kStrengthBitsMin = 112;
constexpr std::size_t kOidTextMax = 128;

// i2d_…() of OpenSSL; empty where it fails.
template <class T>
std::vector<std::byte> der_of(int (*write)(T*, unsigned char**), T* object) {
    const int size = write(object, nullptr);
    if (size <= 0) return {};
    std::vector<std::byte> der(static_cast<std::size_t>(size));
    unsigned char* to = out(der);
    if (write(object, &to) != size) return {};
    return der;
}

// A positive number that is not short: the first bit is 0, the second 1.
std::uint64_t random_serial() {
    std::array<std::byte, 8> bytes{};
    fill_random(bytes);
    std::uint64_t serial = 0;
    for (const std::byte byte : bytes)
        serial = serial << 8 | std::to_integer<std::uint64_t>(byte);
    return serial >> 2 | std::uint64_t{1} << 62;
}

void set_names(X509* certificate, std::uint64_t serial) {
    const std::string text = std::to_string(serial);
    const NameOwner name(X509_NAME_new());
    KWAAI_CHECK(name && ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial) == 1 &&
                    X509_NAME_add_entry_by_NID(name.get(),
                                               NID_serialNumber,
                                               MBSTRING_ASC,
                                               in(as_bytes(text)),
                                               static_cast<int>(text.size()),
                                               -1,
                                               0) == 1 &&
                    X509_set_subject_name(certificate, name.get()) == 1 &&
                    X509_set_issuer_name(certificate, name.get()) == 1,
                "out of memory");
}

void add_extension(X509* certificate, const CertificateExtension& extension) {
    const ObjectOwner oid(OBJ_txt2obj(extension.oid.c_str(), 1));
    KWAAI_CHECK(oid, "an extension of ours has an OID");
    const OctetsOwner value(ASN1_OCTET_STRING_new());
    KWAAI_CHECK(value && ASN1_OCTET_STRING_set(value.get(),
                                               in(extension.value),
                                               static_cast<int>(extension.value.size())) == 1,
                "out of memory");
    const ExtensionOwner made(X509_EXTENSION_create_by_OBJ(
        nullptr, oid.get(), extension.is_critical ? 1 : 0, value.get()));
    KWAAI_CHECK(made && X509_add_ext(certificate, made.get(), -1) == 1, "out of memory");
}

std::optional<std::chrono::sys_seconds> seconds_of(const ASN1_TIME* time) {
    std::tm parts{};
    if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
    const std::chrono::year_month_day day(
        std::chrono::year(parts.tm_year + 1900),
        std::chrono::month(static_cast<unsigned>(parts.tm_mon + 1)),
        std::chrono::day(static_cast<unsigned>(parts.tm_mday)));
    if (!day.ok()) return std::nullopt;
    return std::chrono::sys_days(day) + std::chrono::hours(parts.tm_hour) +
           std::chrono::minutes(parts.tm_min) + std::chrono::seconds(parts.tm_sec);
}

Result<CertificateExtension> read_extension(X509_EXTENSION* extension) {
    std::array<char, kOidTextMax> oid{};
    const int size = OBJ_obj2txt(
        oid.data(), static_cast<int>(oid.size()), X509_EXTENSION_get_object(extension), 1);
    if (size <= 0 || size >= static_cast<int>(oid.size()))
        return fail(Errc::malformed, "an extension of a certificate has no readable OID");
    const ASN1_OCTET_STRING* const value = X509_EXTENSION_get_data(extension);
    const Bytes bytes = std::as_bytes(std::span(
        ASN1_STRING_get0_data(value), static_cast<std::size_t>(ASN1_STRING_length(value))));
    return CertificateExtension{.oid = oid.data(),
                                .is_critical = X509_EXTENSION_get_critical(extension) != 0,
                                .value = {bytes.begin(), bytes.end()}};
}

// The key's size comes first: what a huge one signs takes long to check.
Result<> check_signature(X509* certificate, const std::function<Result<>(KeyType)>& admit) {
    EVP_PKEY* const key = X509_get0_pubkey(certificate);
    if (key == nullptr) return fail(Errc::malformed, "a certificate's key cannot be read");
    if (EVP_PKEY_get_bits(key) > static_cast<int>(kRsaBitsMax))
        return fail(Errc::limit_exceeded,
                    "a certificate's key has more than " + std::to_string(kRsaBitsMax) + " bits");
    int strength_bits = 0;
    if (X509_get_signature_info(certificate, nullptr, nullptr, &strength_bits, nullptr) != 1 ||
        strength_bits < kStrengthBitsMin || EVP_PKEY_get_security_bits(key) < kStrengthBitsMin)
        return fail(Errc::malformed, "a certificate is signed in a way that is weak or unknown");
    if (admit) {
        const int kind = EVP_PKEY_get_base_id(key);
        const bool is_curve = kind == EVP_PKEY_EC || kind == EVP_PKEY_ED25519;
        // DSA and the like cost what RSA does.
        KWAAI_CHECKED(admit(is_curve ? KeyType::ecdsa : KeyType::rsa));
    }
    if (X509_verify(certificate, key) == 1) return {};
    return fail(Errc::malformed, "a certificate is not signed by its own key");
}

}  // namespace

CertificateKey::CertificateKey(std::shared_ptr<const State> state) : state_(std::move(state)) {}

CertificateKey CertificateKey::generate() {
    const detail::ErrorQueueGuard guard;
    detail::Pkey pkey(EVP_EC_gen("P-256"));
    KWAAI_CHECK(pkey, "OpenSSL makes a key on P-256");
    return CertificateKey(std::make_shared<const State>(std::move(pkey)));
}

std::vector<std::byte> CertificateKey::public_key_info() const {
    std::vector<std::byte> der = der_of<const EVP_PKEY>(i2d_PUBKEY, state_->pkey.get());
    KWAAI_CHECK(!der.empty(), "OpenSSL writes its own key");
    return der;
}

SecretBytes CertificateKey::private_key() const {
    EVP_PKEY* const key = state_->pkey.get();
    const int size = i2d_PrivateKey(key, nullptr);
    KWAAI_CHECK(size > 0, "OpenSSL writes its own key");
    SecretBytes der(static_cast<std::size_t>(size));
    unsigned char* to = out(der);
    KWAAI_CHECK(i2d_PrivateKey(key, &to) == size, "OpenSSL writes its own key");
    return der;
}

std::vector<std::byte> CertificateKey::certify(const CertificateOptions& options) const {
    const detail::ErrorQueueGuard guard;
    const X509Owner certificate(X509_new());
    KWAAI_CHECK(certificate && X509_set_version(certificate.get(), 2) == 1, "out of memory");
    set_names(certificate.get(), random_serial());
    const std::time_t begin = options.not_before.time_since_epoch().count();
    const std::time_t end = options.not_after.time_since_epoch().count();
    KWAAI_CHECK(ASN1_TIME_set(X509_getm_notBefore(certificate.get()), begin) != nullptr &&
                    ASN1_TIME_set(X509_getm_notAfter(certificate.get()), end) != nullptr,
                "a certificate's times have years of four digits");
    KWAAI_CHECK(X509_set_pubkey(certificate.get(), state_->pkey.get()) == 1, "out of memory");
    for (const CertificateExtension& extension : options.extensions)
        add_extension(certificate.get(), extension);
    KWAAI_CHECK(X509_sign(certificate.get(), state_->pkey.get(), EVP_sha256()) > 0,
                "a key that was made signs");
    std::vector<std::byte> der = der_of<const X509>(i2d_X509, certificate.get());
    KWAAI_CHECK(!der.empty(), "OpenSSL writes its own certificate");
    return der;
}

Result<Certificate> read_certificate(Bytes der, const std::function<Result<>(KeyType)>& admit) {
    const detail::ErrorQueueGuard guard;
    if (der.size() > kCertificateBytesMax)
        return fail(Errc::limit_exceeded,
                    "a certificate of " + std::to_string(der.size()) + " bytes, at most " +
                        std::to_string(kCertificateBytesMax) + " expected");
    const unsigned char* at = in(der);
    const X509Owner certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
    if (!certificate || at != in(der) + der.size())
        return fail(Errc::malformed, "what should be one certificate is none in DER");
    const int count = X509_get_ext_count(certificate.get());
    if (count > static_cast<int>(kExtensionsMax))
        return fail(Errc::limit_exceeded,
                    "a certificate of " + std::to_string(count) + " extensions, at most " +
                        std::to_string(kExtensionsMax) + " expected");
    KWAAI_CHECKED(check_signature(certificate.get(), admit));
    const auto not_before = seconds_of(X509_get0_notBefore(certificate.get()));
    const auto not_after = seconds_of(X509_get0_notAfter(certificate.get()));
    if (!not_before || !not_after)
        return fail(Errc::malformed, "a certificate's validity cannot be read");
    Certificate read{.public_key_info = der_of<const X509_PUBKEY>(
                         i2d_X509_PUBKEY, X509_get_X509_PUBKEY(certificate.get())),
                     .not_before = *not_before,
                     .not_after = *not_after,
                     .extensions = {},
                     .has_unique_ids = false};
    const ASN1_BIT_STRING* issuer_id = nullptr;
    const ASN1_BIT_STRING* subject_id = nullptr;
    X509_get0_uids(certificate.get(), &issuer_id, &subject_id);
    read.has_unique_ids = issuer_id != nullptr || subject_id != nullptr;
    for (int i = 0; i < count; ++i) {
        KWAAI_TRY(CertificateExtension extension,
                  read_extension(X509_get_ext(certificate.get(), i)));
        read.extensions.push_back(std::move(extension));
    }
    return read;
}

}  // namespace kwaai::crypto
