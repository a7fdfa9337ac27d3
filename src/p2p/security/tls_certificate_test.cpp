#include "p2p/security/tls_certificate.hpp"

#include <array>
#include <chrono>
#include <vector>

#include <doctest/doctest.h>

#include "p2p/security/tls_vectors_test.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace std::chrono_literals;
using testing::from_hex;

namespace {

constexpr std::chrono::sys_seconds kNow = std::chrono::sys_days(std::chrono::January / 2 / 2026);

Result<crypto::PublicKey> verify(Bytes certificate,
                                 std::chrono::sys_seconds now = kNow,
                                 const std::optional<PeerId>& expected = std::nullopt) {
    const std::array<Bytes, 1> chain{certificate};
    return verify_tls_chain(chain, now, expected);
}

std::string refusal(Bytes certificate) {
    const Result<crypto::PublicKey> key = verify(certificate);
    REQUIRE_FALSE(key.has_value());
    CHECK(key.error().code == Errc::malformed);
    return key.error().context;
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

// The parts of a certificate that holds, to make others of.
struct Maker {
    [[nodiscard]] crypto::CertificateExtension extension(bool is_critical = false) const {
        return {.oid = std::string(kIdentityExtension),
                .is_critical = is_critical,
                .value = write_signed_key(
                    {.identity_key = codec::to_buffer(identity.public_key().protobuf()),
                     .signature = identity.sign(signed_certificate_key(key.public_key_info()))})};
    }

    [[nodiscard]] codec::Buffer with(std::vector<crypto::CertificateExtension> extensions) const {
        return key.certify(
            {.not_before = kNow - 1h, .not_after = kNow + 1h, .extensions = std::move(extensions)});
    }

    crypto::CertificateKey key = crypto::CertificateKey::generate();
    crypto::PrivateKey identity = crypto::PrivateKey::generate(crypto::KeyType::ed25519).value();
};

}  // namespace

TEST_CASE("the certificates of the specification are judged as it says") {
    for (const TlsVector& vector : kTlsVectors) {
        CAPTURE(vector.peer);
        const Result<crypto::PublicKey> key = verify(from_hex(vector.certificate));
        CHECK(key.has_value() == !vector.peer.empty());
        if (key) CHECK(PeerId::of(*key).to_text() == vector.peer);
        if (!key) CHECK(contains(key.error().context, "is not over the key of its certificate"));
    }
}

TEST_CASE("a certificate of ours proves an identity of any kind") {
    for (const crypto::KeyType type : {crypto::KeyType::rsa,
                                       crypto::KeyType::ed25519,
                                       crypto::KeyType::secp256k1,
                                       crypto::KeyType::ecdsa}) {
        const crypto::PrivateKey identity = crypto::PrivateKey::generate(type).value();
        const codec::Buffer der =
            make_tls_certificate(crypto::CertificateKey::generate(), identity, kNow);
        const PeerId peer = PeerId::of(identity.public_key());
        CHECK(verify(der, kNow, peer).value() == identity.public_key());
        const crypto::Certificate read = crypto::read_certificate(der).value();
        REQUIRE(read.extensions.size() == 1);
        CHECK_FALSE(read.extensions[0].is_critical);
    }
}

TEST_CASE("a certificate of ours holds from an hour before it was made, for a hundred years") {
    const codec::Buffer der =
        make_tls_certificate(crypto::CertificateKey::generate(), Maker().identity, kNow);
    const auto end = kNow + std::chrono::years(100);
    CHECK(verify(der, kNow - 1h).has_value());
    CHECK(contains(verify(der, kNow - 1h - 1s).error().context, "not valid yet"));
    CHECK(verify(der, end).has_value());
    CHECK(contains(verify(der, end + 1s).error().context, "expired"));
}

TEST_CASE("another peer than the expected one is named beside it") {
    const Maker maker;
    const PeerId expected = PeerId::of(Maker().identity.public_key());
    const Result<crypto::PublicKey> key = verify(maker.with({maker.extension()}), kNow, expected);
    REQUIRE_FALSE(key.has_value());
    CHECK(key.error().code == Errc::wrong_peer);
    CHECK(contains(key.error().context, expected.to_text()));
    CHECK(contains(key.error().context, PeerId::of(maker.identity.public_key()).to_text()));
}

TEST_CASE("exactly one certificate is taken") {
    const Maker maker;
    const codec::Buffer der = maker.with({maker.extension()});
    const std::vector<Bytes> two{der, der};
    CHECK(verify_tls_chain(two, kNow, std::nullopt).error().code == Errc::malformed);
    CHECK(verify_tls_chain({}, kNow, std::nullopt).error().code == Errc::malformed);
}

TEST_CASE("the extension stands once, critical or not; others may, if they are not critical") {
    const Maker maker;
    const crypto::CertificateExtension other{.oid = "1.2.3.4", .is_critical = false, .value = {}};
    const crypto::CertificateExtension critical{.oid = "1.2.3.4", .is_critical = true, .value = {}};
    CHECK(verify(maker.with({maker.extension(true)})).has_value());
    CHECK(verify(maker.with({other, maker.extension()})).has_value());
    CHECK(contains(refusal(maker.with({})), "does not say who it is"));
    CHECK(contains(refusal(maker.with({other})), "does not say who it is"));
    CHECK(contains(refusal(maker.with({maker.extension(), maker.extension()})), "twice"));
    CHECK(contains(refusal(maker.with({maker.extension(), critical})), "1.2.3.4"));
}

TEST_CASE("an identity's signature over another certificate's key is refused") {
    const Maker maker;
    const Maker other;
    CHECK(contains(refusal(maker.with({other.extension()})), "is not over the key"));
}

TEST_CASE("a signed key has one encoding") {
    const SignedKey small{.identity_key = codec::Buffer(36), .signature = codec::Buffer(64)};
    const SignedKey large{.identity_key = codec::Buffer(300), .signature = codec::Buffer(200)};
    for (const SignedKey& key : {small, large}) {
        const codec::Buffer der = write_signed_key(key);
        const SignedKey read = read_signed_key(der).value();
        CHECK(read.identity_key == key.identity_key);
        CHECK(read.signature == key.signature);
        for (std::size_t i = 0; i < der.size(); ++i)
            CHECK_FALSE(read_signed_key(Bytes(der).first(i)).has_value());
        codec::Buffer longer = der;
        longer.push_back(std::byte{0});
        CHECK(read_signed_key(longer).error().code == Errc::malformed);
    }
    CHECK(read_signed_key(from_hex("300404000400")).has_value());
    CHECK_FALSE(read_signed_key(from_hex("30810404000400")).has_value());    // a long length
    CHECK_FALSE(read_signed_key(from_hex("3082000404000400")).has_value());  // a longer one
    CHECK_FALSE(read_signed_key(from_hex("3006040004000400")).has_value());  // a third part
    CHECK_FALSE(read_signed_key(from_hex("300404000500")).has_value());      // another kind
    CHECK_FALSE(read_signed_key(from_hex("308004000400")).has_value());      // an open length
}
