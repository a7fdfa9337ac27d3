// secp256k1 and P-256: the same kind of key in two kinds of encoding.
#include <algorithm>
#include <array>
#include <string>

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>

#include "base/check.hpp"
#include "crypto/der.hpp"
#include "crypto/hash.hpp"
#include "crypto/key_kinds.hpp"
#include "crypto/random.hpp"

namespace kwaai::crypto::detail {
namespace {

constexpr std::size_t kScalarBytes = 32;
constexpr std::size_t kCompressedBytes = 33;
constexpr std::size_t kPointBytes = 65;

struct Curve {
    const char* name;
    const EC_GROUP* group;
    const BIGNUM* order;
};

Curve make_curve(const char* name, int nid) {
    const EC_GROUP* const group = EC_GROUP_new_by_curve_name(nid);
    KWAAI_CHECK(group != nullptr, "OpenSSL has the curve");
    return {name, group, EC_GROUP_get0_order(group)};
}

const Curve& secp256k1() {
    static const Curve curve = make_curve(SN_secp256k1, NID_secp256k1);
    return curve;
}

const Curve& p256() {
    static const Curve curve = make_curve(SN_X9_62_prime256v1, NID_X9_62_prime256v1);
    return curve;
}

// SubjectPublicKeyInfo { { id-ecPublicKey, prime256v1 }, BIT STRING }, up to the point.
constexpr std::array<unsigned char, 26> kP256Spki = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
constexpr std::array<unsigned char, 7> kEcPublicKey = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
constexpr std::array<unsigned char, 8> kPrime256v1 = {
    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

template <std::size_t N>
Bytes bytes_of(const std::array<unsigned char, N>& constant) {
    return std::as_bytes(std::span(constant));
}

/// OpenSSL checks that the point is on the curve; its parameters are not const, but not written.
Pkey pkey_of_point(const Curve& curve, Bytes point) {
    std::array<OSSL_PARAM, 3> params = {
        OSSL_PARAM_construct_utf8_string(
            OSSL_PKEY_PARAM_GROUP_NAME, const_cast<char*>(curve.name), 0),
        OSSL_PARAM_construct_octet_string(
            OSSL_PKEY_PARAM_PUB_KEY, const_cast<std::byte*>(point.data()), point.size()),
        OSSL_PARAM_construct_end()};
    return pkey_from_params("EC", EVP_PKEY_PUBLIC_KEY, params.data());
}

Number scalar_of(Bytes bytes) {
    Number scalar(BN_secure_new());
    KWAAI_CHECK(scalar && BN_bin2bn(in(bytes), static_cast<int>(bytes.size()), scalar.get()),
                "out of memory");
    BN_set_flags(scalar.get(), BN_FLG_CONSTTIME);
    return scalar;
}

bool is_scalar(const Curve& curve, const BIGNUM* scalar) {
    return !BN_is_zero(scalar) && BN_cmp(scalar, curve.order) < 0;
}

std::vector<std::byte> point_bytes(const Curve& curve,
                                   const BIGNUM* scalar,
                                   point_conversion_form_t form) {
    const NumberContext context(BN_CTX_secure_new());
    const Point point(EC_POINT_new(curve.group));
    std::array<unsigned char, kPointBytes> bytes;
    KWAAI_CHECK(
        context && point &&
            EC_POINT_mul(curve.group, point.get(), scalar, nullptr, nullptr, context.get()) == 1,
        "a public key follows from a scalar");
    const std::size_t size = EC_POINT_point2oct(
        curve.group, point.get(), form, bytes.data(), bytes.size(), context.get());
    const Bytes written = std::as_bytes(std::span(bytes)).first(size);
    return {written.begin(), written.end()};
}

/// The key of a scalar of 32 bytes, its public point in `form` in `public_data`.
Result<PrivateParts> parts_of_scalar(const Curve& curve,
                                     Bytes bytes,
                                     point_conversion_form_t form) {
    const Number scalar = scalar_of(bytes);
    if (!is_scalar(curve, scalar.get()))
        return fail(
            Errc::malformed,
            std::string("a private key on ") + curve.name + " that is not below the curve's order");
    PrivateParts parts{.public_data = point_bytes(curve, scalar.get(), form)};
    SecretBytes little_end_first(bytes.rbegin(), bytes.rend());
    std::array<OSSL_PARAM, 4> params = {
        OSSL_PARAM_construct_utf8_string(
            OSSL_PKEY_PARAM_GROUP_NAME, const_cast<char*>(curve.name), 0),
        OSSL_PARAM_construct_octet_string(
            OSSL_PKEY_PARAM_PUB_KEY, parts.public_data.data(), parts.public_data.size()),
        OSSL_PARAM_construct_BN(
            OSSL_PKEY_PARAM_PRIV_KEY, out(little_end_first), little_end_first.size()),
        OSSL_PARAM_construct_end()};
    parts.pkey = pkey_from_params("EC", EVP_PKEY_KEYPAIR, params.data());
    KWAAI_CHECK(parts.pkey, "OpenSSL takes a valid scalar");
    return parts;
}

SecretBytes random_scalar(const Curve& curve) {
    SecretBytes bytes(kScalarBytes);
    do {
        fill_random(bytes);
    } while (!is_scalar(curve, scalar_of(bytes).get()));
    return bytes;
}

std::vector<std::byte> make_p256_spki(Bytes point) {
    const Bytes front = bytes_of(kP256Spki);
    std::vector<std::byte> spki(front.begin(), front.end());
    spki.insert(spki.end(), point.begin(), point.end());
    return spki;
}

/// ECPrivateKey { 1, scalar, [0] prime256v1, [1] point }, as Go writes it.
SecretBytes make_p256_sec1(Bytes scalar, Bytes point) {
    SecretBytes curve;
    append_der(curve, kDerOid, bytes_of(kPrime256v1));
    SecretBytes bit_string(1);  // no unused bits
    bit_string.insert(bit_string.end(), point.begin(), point.end());
    SecretBytes tagged_point;
    append_der(tagged_point, kDerBitString, bit_string);

    const std::byte version{1};
    SecretBytes fields;
    append_der(fields, kDerInteger, Bytes(&version, 1));
    append_der(fields, kDerOctetString, scalar);
    append_der(fields, 0xa0, curve);
    append_der(fields, 0xa1, tagged_point);
    SecretBytes whole;
    append_der(whole, kDerSequence, fields);
    return whole;
}

/// Whether the data is a key of the same kind on another curve: what we do not do, rather than
/// nonsense.
bool is_other_curve(Bytes spki) {
    DerReader outer(spki);
    const auto info = outer.element(kDerSequence);
    if (!info) return false;
    DerReader fields(*info);
    const auto algorithm = fields.element(kDerSequence);
    if (!algorithm) return false;
    DerReader names(*algorithm);
    const auto kind = names.element(kDerOid);
    const auto curve = names.element(kDerOid);
    return kind && curve && std::ranges::equal(*kind, bytes_of(kEcPublicKey)) &&
           !std::ranges::equal(*curve, bytes_of(kPrime256v1));
}

}  // namespace

Result<Pkey> read_secp256k1_public(Bytes data) {
    if (data.size() != kCompressedBytes)
        return fail(Errc::malformed,
                    "a secp256k1 public key has 33 bytes, not " + std::to_string(data.size()));
    Pkey pkey = pkey_of_point(secp256k1(), data);
    if (!pkey) return fail(Errc::malformed, "a secp256k1 public key is not on its curve");
    return pkey;
}

Result<PrivateParts> read_secp256k1_private(Bytes data) {
    if (data.size() != kScalarBytes)
        return fail(Errc::malformed,
                    "a secp256k1 private key has 32 bytes, not " + std::to_string(data.size()));
    KWAAI_TRY(PrivateParts parts, parts_of_scalar(secp256k1(), data, POINT_CONVERSION_COMPRESSED));
    parts.data.assign(data.begin(), data.end());
    return parts;
}

SecretBytes generate_secp256k1() {
    return random_scalar(secp256k1());
}

// The encoding has one form: everything up to the point is constant.
Result<Pkey> read_p256_public(Bytes data) {
    const Bytes front = bytes_of(kP256Spki);
    if (data.size() != front.size() + kPointBytes ||
        !std::ranges::equal(data.first(front.size()), front) ||
        data[front.size()] != std::byte{POINT_CONVERSION_UNCOMPRESSED}) {
        if (is_other_curve(data))
            return fail(Errc::unsupported, "an ECDSA key on another curve than P-256");
        return fail(Errc::malformed, "an ECDSA public key is no SubjectPublicKeyInfo of P-256");
    }
    Pkey pkey = pkey_of_point(p256(), data.subspan(front.size()));
    if (!pkey) return fail(Errc::malformed, "an ECDSA public key is not on P-256");
    return pkey;
}

Result<PrivateParts> read_p256_private(Bytes data) {
    const auto malformed = [] {
        return fail(Errc::malformed, "an ECDSA private key is no ECPrivateKey of SEC 1 in DER");
    };
    DerReader outer(data);
    const auto sequence = outer.element(kDerSequence);
    if (!sequence || !outer.at_end()) return malformed();
    DerReader fields(*sequence);
    const auto version = fields.unsigned_integer();
    const auto scalar = fields.element(kDerOctetString);
    const auto parameters = fields.element(0xa0);
    const auto tagged_point = fields.element(0xa1);
    if (!version || version->size() != 1 || version->front() != std::byte{1} || !scalar ||
        scalar->size() != kScalarBytes || !fields.at_end())
        return malformed();
    if (parameters) {
        DerReader curve(*parameters);
        const auto oid = curve.element(kDerOid);
        if (!oid || !curve.at_end()) return malformed();
        if (!std::ranges::equal(*oid, bytes_of(kPrime256v1)))
            return fail(Errc::unsupported, "an ECDSA key on another curve than P-256");
    }
    KWAAI_TRY(PrivateParts parts, parts_of_scalar(p256(), *scalar, POINT_CONVERSION_UNCOMPRESSED));
    if (tagged_point) {
        DerReader bits(*tagged_point);
        const auto point = bits.element(kDerBitString);
        if (!point || !bits.at_end() || point->empty() || point->front() != std::byte{0} ||
            !std::ranges::equal(point->subspan(1), parts.public_data))
            return fail(Errc::malformed,
                        "the public key in an ECDSA private key does not belong to it");
    }
    parts.data = make_p256_sec1(*scalar, parts.public_data);
    parts.public_data = make_p256_spki(parts.public_data);
    return parts;
}

SecretBytes generate_p256() {
    const SecretBytes scalar = random_scalar(p256());
    const std::vector<std::byte> point =
        point_bytes(p256(), scalar_of(scalar).get(), POINT_CONVERSION_UNCOMPRESSED);
    return make_p256_sec1(scalar, point);
}

std::vector<std::byte> with_low_s(KeyType type, std::vector<std::byte> signature) {
    using Signature = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>>;
    const Curve& curve = type == KeyType::secp256k1 ? secp256k1() : p256();
    const unsigned char* read = in(signature);
    const Signature parsed(d2i_ECDSA_SIG(nullptr, &read, static_cast<long>(signature.size())));
    KWAAI_CHECK(parsed, "OpenSSL reads its own signature");
    const BIGNUM* r = nullptr;
    const BIGNUM* s = nullptr;
    ECDSA_SIG_get0(parsed.get(), &r, &s);
    Number other(BN_new());  // order - s
    KWAAI_CHECK(other && BN_sub(other.get(), curve.order, s) == 1, "out of memory");
    if (BN_cmp(s, other.get()) <= 0) return signature;

    Number same_r(BN_dup(r));
    KWAAI_CHECK(same_r && ECDSA_SIG_set0(parsed.get(), same_r.get(), other.get()) == 1,
                "out of memory");
    (void)same_r.release();
    (void)other.release();
    const int size = i2d_ECDSA_SIG(parsed.get(), nullptr);
    KWAAI_CHECK(size > 0, "OpenSSL writes a signature");
    signature.resize(static_cast<std::size_t>(size));
    unsigned char* written = out(signature);
    (void)i2d_ECDSA_SIG(parsed.get(), &written);
    return signature;
}

}  // namespace kwaai::crypto::detail
