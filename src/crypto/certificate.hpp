// Self-signed X.509 certificates: made, and taken apart. What their extensions mean is for others.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/key.hpp"
#include "crypto/secret.hpp"

namespace kwaai::crypto {

constexpr std::size_t kCertificateBytesMax = 8192;  // one with RSA-8192 keys has half of this
constexpr std::size_t kExtensionsMax = 16;

struct CertificateExtension {
    std::string oid;  // in numbers: "1.3.6.1.4.1.53594.1.1"
    bool is_critical = false;
    std::vector<std::byte> value;
};

struct CertificateOptions {
    std::chrono::sys_seconds not_before;
    std::chrono::sys_seconds not_after;
    std::vector<CertificateExtension> extensions;  // in this order
};

/// A new key on P-256 that signs its own certificates. Immutable, cheap to copy.
class CertificateKey {
public:
    static CertificateKey generate();

    /// SubjectPublicKeyInfo in DER.
    [[nodiscard]] std::vector<std::byte> public_key_info() const;

    /// The private key in DER (SEC1), for a TLS library other than this room's.
    [[nodiscard]] SecretBytes private_key() const;

    /// A certificate of this key in DER, with a random serial number, the same as the subject's
    /// attribute serialNumber. Each extension's OID is one.
    [[nodiscard]] std::vector<std::byte> certify(const CertificateOptions& options) const;

    struct State;

    [[nodiscard]] const State& state() const { return *state_; }

private:
    explicit CertificateKey(std::shared_ptr<const State> state);
    std::shared_ptr<const State> state_;
};

/// What a certificate says of itself.
struct Certificate {
    std::vector<std::byte> public_key_info;  // SubjectPublicKeyInfo in DER
    std::chrono::sys_seconds not_before;
    std::chrono::sys_seconds not_after;
    std::vector<CertificateExtension> extensions;
    bool has_unique_ids = false;  // the deprecated fields of issuer or subject
};

/// Reads exactly one certificate in DER whose signature is its own key's. `Errc::malformed` else,
/// and where key or signature are weaker than 112 bits (SHA-1); `limit_exceeded` for more than
/// kCertificateBytesMax bytes, kExtensionsMax extensions, or an RSA key beyond kRsaBitsMax.
/// @param admit asked before the signature by a key of that type is verified, and its error given;
///   may be empty
[[nodiscard]] Result<Certificate> read_certificate(
    Bytes der, const std::function<Result<>(KeyType)>& admit = nullptr);

}  // namespace kwaai::crypto
