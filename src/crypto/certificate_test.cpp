#include "crypto/certificate.hpp"

#include <chrono>

#include <doctest/doctest.h>

using namespace kwaai;
using namespace kwaai::crypto;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::sys_seconds kBegin = std::chrono::sys_days(std::chrono::January / 2 / 2026);

std::vector<std::byte> bytes_of(std::string_view text) {
    const Bytes bytes = as_bytes(text);
    return {bytes.begin(), bytes.end()};
}

CertificateOptions options_of(std::vector<CertificateExtension> extensions) {
    return {.not_before = kBegin,
            .not_after = kBegin + std::chrono::years(100),
            .extensions = std::move(extensions)};
}

}  // namespace

TEST_CASE("a certificate says what it was made of, beyond 2049 too") {
    const CertificateKey key = CertificateKey::generate();
    const auto der = key.certify(options_of({{"1.2.3.4", false, bytes_of("first")},
                                             {"1.2.3.5", true, bytes_of("second")},
                                             {"1.2.3.4", false, {}}}));
    const Certificate read = read_certificate(der).value();
    CHECK(read.public_key_info == key.public_key_info());
    CHECK(read.not_before == kBegin);
    CHECK(read.not_after == kBegin + std::chrono::years(100));
    CHECK_FALSE(read.has_unique_ids);
    REQUIRE(read.extensions.size() == 3);
    CHECK(read.extensions[0].oid == "1.2.3.4");
    CHECK(read.extensions[0].value == bytes_of("first"));
    CHECK_FALSE(read.extensions[0].is_critical);
    CHECK(read.extensions[1].is_critical);
    CHECK(read.extensions[2].value.empty());
}

TEST_CASE("two certificates of a key have different serial numbers") {
    const CertificateKey key = CertificateKey::generate();
    CHECK(key.certify(options_of({})) != key.certify(options_of({})));
}

TEST_CASE("a certificate with any bit turned, cut short or with bytes behind it is refused") {
    const auto der = CertificateKey::generate().certify(options_of({}));
    REQUIRE(read_certificate(der).has_value());
    for (std::size_t i = 0; i < der.size(); ++i) {
        CAPTURE(i);
        auto other = der;
        other[i] ^= std::byte{0x10};
        CHECK_FALSE(read_certificate(other).has_value());
        CHECK_FALSE(read_certificate(Bytes(der).first(i)).has_value());
    }
    auto longer = der;
    longer.push_back(std::byte{0});
    CHECK(read_certificate(longer).error().code == Errc::malformed);
}

TEST_CASE("a certificate is bounded in bytes and extensions") {
    const CertificateKey key = CertificateKey::generate();
    const auto large =
        key.certify(options_of({{"1.2.3.4", false, std::vector<std::byte>(kCertificateBytesMax)}}));
    CHECK(read_certificate(large).error().code == Errc::limit_exceeded);
    std::vector<CertificateExtension> many(kExtensionsMax, {"1.2.3.4", false, {}});
    CHECK(read_certificate(key.certify(options_of(many))).has_value());
    many.push_back(many.front());
    CHECK(read_certificate(key.certify(options_of(many))).error().code == Errc::limit_exceeded);
}
