#include <algorithm>
#include <array>
#include <string>

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "base/check.hpp"
#include "crypto/der.hpp"
#include "crypto/key_kinds.hpp"

namespace kwaai::crypto::detail {
namespace {

constexpr std::size_t kPublicBytesMax = 2048;   // SubjectPublicKeyInfo of 8192 bits has 1062
constexpr std::size_t kPrivateBytesMax = 8192;  // PKCS#1 of 8192 bits has about 4700

// AlgorithmIdentifier { rsaEncryption, NULL }
constexpr std::array<unsigned char, 13> kAlgorithm = {
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};

struct PublicNumbers {
    Bytes modulus;  // big-endian, without leading zeros
    Bytes exponent;
};

/// The numbers of PKCS#1's RSAPrivateKey, in its order.
enum PrivateNumber : std::uint8_t { kN, kE, kD, kP, kQ, kDp, kDq, kQinv, kNumberCount };

constexpr std::array<const char*, kNumberCount> kParamNames = {OSSL_PKEY_PARAM_RSA_N,
                                                               OSSL_PKEY_PARAM_RSA_E,
                                                               OSSL_PKEY_PARAM_RSA_D,
                                                               OSSL_PKEY_PARAM_RSA_FACTOR1,
                                                               OSSL_PKEY_PARAM_RSA_FACTOR2,
                                                               OSSL_PKEY_PARAM_RSA_EXPONENT1,
                                                               OSSL_PKEY_PARAM_RSA_EXPONENT2,
                                                               OSSL_PKEY_PARAM_RSA_COEFFICIENT1};

using PrivateNumbers = std::array<Number, kNumberCount>;

unsigned bits_of(Bytes number) {
    if (number.empty()) return 0;
    const auto top = std::to_integer<unsigned>(number[0]);
    return static_cast<unsigned>(number.size() * 8) -
           static_cast<unsigned>(__builtin_clz(top) - 24);
}

bool is_odd(Bytes number) {
    return !number.empty() && (number.back() & std::byte{1}) != std::byte{0};
}

/// Go refuses exponents above 2^31 - 1 too; a huge one would make the verifier work.
Result<> check_public(const PublicNumbers& numbers) {
    const unsigned bits = bits_of(numbers.modulus);
    if (bits < kRsaBitsMin || bits > kRsaBitsMax)
        return fail(
            Errc::unsupported,
            "an RSA key of " + std::to_string(bits) + " bits; between 2048 and 8192 are taken");
    const unsigned exponent_bits = bits_of(numbers.exponent);
    if (exponent_bits < 2 || exponent_bits > 31 || !is_odd(numbers.exponent) ||
        !is_odd(numbers.modulus))
        return fail(Errc::malformed, "an RSA key with an impossible modulus or exponent");
    return {};
}

/// RSAPublicKey inside SubjectPublicKeyInfo.
Result<PublicNumbers> parse_spki(Bytes data) {
    const auto malformed = [] {
        return fail(Errc::malformed, "an RSA public key is no SubjectPublicKeyInfo in DER");
    };
    if (data.size() > kPublicBytesMax) return malformed();
    DerReader outer(data);
    const auto info = outer.element(kDerSequence);
    if (!info || !outer.at_end()) return malformed();
    DerReader fields(*info);
    const auto algorithm = fields.element(kDerSequence);
    const auto bit_string = fields.element(kDerBitString);
    if (!algorithm || !bit_string || !fields.at_end()) return malformed();
    if (!std::ranges::equal(*algorithm, std::as_bytes(std::span(kAlgorithm)))) return malformed();
    if (bit_string->empty() || bit_string->front() != std::byte{0}) return malformed();
    DerReader key(bit_string->subspan(1));
    const auto pair = key.element(kDerSequence);
    if (!pair || !key.at_end()) return malformed();
    DerReader numbers(*pair);
    const auto modulus = numbers.unsigned_integer();
    const auto exponent = numbers.unsigned_integer();
    if (!modulus || !exponent || !numbers.at_end()) return malformed();
    return PublicNumbers{*modulus, *exponent};
}

void append_integer(SecretBytes& to, Bytes magnitude) {
    SecretBytes content;
    content.reserve(magnitude.size() + 1);
    if (magnitude.empty() || magnitude.front() >= std::byte{0x80}) content.push_back(std::byte{0});
    content.insert(content.end(), magnitude.begin(), magnitude.end());
    append_der(to, kDerInteger, content);
}

std::vector<std::byte> make_spki(const PublicNumbers& numbers) {
    SecretBytes pair;
    append_integer(pair, numbers.modulus);
    append_integer(pair, numbers.exponent);
    SecretBytes bit_string(1);  // no unused bits
    append_der(bit_string, kDerSequence, pair);
    SecretBytes info;
    append_der(info, kDerSequence, std::as_bytes(std::span(kAlgorithm)));
    append_der(info, kDerBitString, bit_string);
    SecretBytes whole;
    append_der(whole, kDerSequence, info);
    return {whole.begin(), whole.end()};
}

Number number_of(Bytes bytes) {
    Number number(BN_secure_new());
    KWAAI_CHECK(number && BN_bin2bn(in(bytes), static_cast<int>(bytes.size()), number.get()),
                "out of memory");
    return number;
}

/// Whether the numbers fit together: p q = n, d e = 1 modulo p - 1 and q - 1, and the three of the
/// Chinese remainder theorem. A key that is wrong here could sign and give its factors away.
bool is_consistent(const PrivateNumbers& key) {
    struct ContextFree {
        void operator()(BN_CTX* context) const { BN_CTX_free(context); }
    };

    const std::unique_ptr<BN_CTX, ContextFree> context(BN_CTX_secure_new());
    const Number product(BN_secure_new());
    const Number less_one(BN_secure_new());
    KWAAI_CHECK(context && product && less_one, "out of memory");
    const auto at = [&](PrivateNumber i) {
        return key[i].get();
    };
    BIGNUM* const x = product.get();
    BIGNUM* const m = less_one.get();

    if (BN_mul(x, at(kP), at(kQ), context.get()) != 1 || BN_cmp(x, at(kN)) != 0) return false;
    const std::array<std::pair<PrivateNumber, PrivateNumber>, 2> factors = {{{kP, kDp}, {kQ, kDq}}};
    for (const auto& [factor, exponent] : factors) {
        if (BN_copy(m, at(factor)) == nullptr || BN_sub_word(m, 1) != 1 || BN_is_zero(m))
            return false;
        if (BN_mod(x, at(kD), m, context.get()) != 1 || BN_cmp(x, at(exponent)) != 0) return false;
        if (BN_mod_mul(x, at(kD), at(kE), m, context.get()) != 1 || !BN_is_one(x)) return false;
    }
    return BN_mod_mul(x, at(kQinv), at(kQ), at(kP), context.get()) == 1 && BN_is_one(x);
}

Pkey pkey_of(const PrivateNumbers& key) {
    const std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>> builder(OSSL_PARAM_BLD_new());
    KWAAI_CHECK(builder, "out of memory");
    for (std::size_t i = 0; i < kNumberCount; ++i)
        KWAAI_CHECK(OSSL_PARAM_BLD_push_BN(builder.get(), kParamNames[i], key[i].get()) == 1,
                    "out of memory");
    const std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>> params(
        OSSL_PARAM_BLD_to_param(builder.get()));
    KWAAI_CHECK(params, "out of memory");
    return pkey_from_params("RSA", EVP_PKEY_KEYPAIR, params.get());
}

}  // namespace

Result<Pkey> read_rsa_public(Bytes data) {
    KWAAI_TRY(const PublicNumbers numbers, parse_spki(data));
    KWAAI_CHECKED(check_public(numbers));
    // OpenSSL takes numbers in the machine's order of bytes, here the little end first.
    std::vector<unsigned char> n(numbers.modulus.size());
    std::vector<unsigned char> e(numbers.exponent.size());
    std::ranges::reverse_copy(std::span(in(numbers.modulus), n.size()), n.begin());
    std::ranges::reverse_copy(std::span(in(numbers.exponent), e.size()), e.begin());
    std::array<OSSL_PARAM, 3> params = {
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, n.data(), n.size()),
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, e.data(), e.size()),
        OSSL_PARAM_construct_end()};
    Pkey pkey = pkey_from_params("RSA", EVP_PKEY_PUBLIC_KEY, params.data());
    if (!pkey) return fail(Errc::malformed, "an RSA public key that OpenSSL refuses");
    return pkey;
}

Result<PrivateParts> read_rsa_private(Bytes data) {
    const auto malformed = [] {
        return fail(Errc::malformed, "an RSA private key is no RSAPrivateKey of PKCS#1 in DER");
    };
    if (data.size() > kPrivateBytesMax) return malformed();
    DerReader outer(data);
    const auto sequence = outer.element(kDerSequence);
    if (!sequence || !outer.at_end()) return malformed();
    DerReader fields(*sequence);
    const auto version = fields.unsigned_integer();
    if (!version || !version->empty()) return malformed();  // 0: two primes
    std::array<Bytes, kNumberCount> found;
    for (Bytes& number : found) {
        const auto next = fields.unsigned_integer();
        if (!next || next->empty()) return malformed();
        number = *next;
    }
    if (!fields.at_end()) return malformed();
    const PublicNumbers numbers{found[kN], found[kE]};
    KWAAI_CHECKED(check_public(numbers));

    PrivateNumbers key;
    std::ranges::transform(found, key.begin(), number_of);
    if (!is_consistent(key))
        return fail(Errc::malformed, "the numbers of an RSA private key do not fit together");
    PrivateParts parts{.pkey = pkey_of(key),
                       .data = SecretBytes(data.begin(), data.end()),
                       .public_data = make_spki(numbers)};
    // What is left are factors that are not prime; such a key does not sign, or not always.
    const Bytes probe = as_bytes("kwaai");
    if (!parts.pkey || !verify_with(KeyType::rsa,
                                    parts.pkey.get(),
                                    probe,
                                    sign_with(KeyType::rsa, parts.pkey.get(), probe)))
        return fail(Errc::malformed, "an RSA private key that does not sign");
    return parts;
}

Result<SecretBytes> generate_rsa(unsigned bits) {
    if (bits < kRsaBitsMin || bits > kRsaBitsMax)
        return fail(Errc::invalid_argument,
                    "an RSA key of " + std::to_string(bits) +
                        " bits was asked for; between 2048 and 8192 work");
    const Pkey pkey(EVP_RSA_gen(bits));
    KWAAI_CHECK(pkey, "OpenSSL makes RSA keys");
    unsigned char* der = nullptr;
    const int size = i2d_PrivateKey(pkey.get(), &der);  // PKCS#1
    KWAAI_CHECK(size > 0, "OpenSSL writes RSA keys");
    const Bytes bytes = std::as_bytes(std::span(der, static_cast<std::size_t>(size)));
    SecretBytes data(bytes.begin(), bytes.end());
    OPENSSL_clear_free(der, static_cast<std::size_t>(size));
    return data;
}

}  // namespace kwaai::crypto::detail
