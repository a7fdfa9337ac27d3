#include <algorithm>

#include "base/check.hpp"
#include "crypto/hash.hpp"
#include "crypto/key_kinds.hpp"
#include "crypto/random.hpp"

namespace kwaai::crypto::detail {
namespace {

constexpr std::size_t kSeedBytes = 32;
constexpr std::size_t kPublicBytes = 32;
constexpr std::size_t kDataBytes = kSeedBytes + kPublicBytes;
constexpr std::size_t kOldDataBytes = kDataBytes + kPublicBytes;  // the public key twice

Pkey pkey_of_seed(Bytes seed) {
    Pkey pkey(EVP_PKEY_new_raw_private_key_ex(nullptr, "ED25519", nullptr, in(seed), seed.size()));
    KWAAI_CHECK(pkey, "OpenSSL has Ed25519");
    return pkey;
}

std::array<std::byte, kPublicBytes> public_of(EVP_PKEY* pkey) {
    std::array<std::byte, kPublicBytes> key{};
    std::size_t size = key.size();
    KWAAI_CHECK(EVP_PKEY_get_raw_public_key(pkey, out(key), &size) == 1,
                "a public key follows from a seed");
    return key;
}

}  // namespace

Result<Pkey> read_ed25519_public(Bytes data) {
    if (data.size() != kPublicBytes)
        return fail(Errc::malformed,
                    "an Ed25519 public key has 32 bytes, not " + std::to_string(data.size()));
    Pkey pkey(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, in(data), data.size()));
    KWAAI_CHECK(pkey, "OpenSSL has Ed25519");
    return pkey;
}

Result<PrivateParts> read_ed25519_private(Bytes data) {
    if (data.size() != kDataBytes && data.size() != kOldDataBytes)
        return fail(Errc::malformed,
                    "an Ed25519 private key has 64 bytes, not " + std::to_string(data.size()));
    PrivateParts parts{.pkey = pkey_of_seed(data.first(kSeedBytes))};
    const auto key = public_of(parts.pkey.get());
    for (Bytes rest = data.subspan(kSeedBytes); !rest.empty(); rest = rest.subspan(kPublicBytes)) {
        if (!equal_in_constant_time(rest.first(kPublicBytes), key))
            return fail(Errc::malformed,
                        "the public key in an Ed25519 private key does not belong to its seed");
    }
    const Bytes kept = data.first(kDataBytes);
    parts.data.assign(kept.begin(), kept.end());
    parts.public_data.assign(key.begin(), key.end());
    return parts;
}

SecretBytes ed25519_data(Bytes seed) {
    KWAAI_CHECK(seed.size() == kSeedBytes, "an Ed25519 seed has 32 bytes");
    const auto key = public_of(pkey_of_seed(seed).get());
    SecretBytes data;
    data.reserve(kDataBytes);
    data.assign(seed.begin(), seed.end());
    data.insert(data.end(), key.begin(), key.end());
    return data;
}

SecretBytes generate_ed25519() {
    SecretBytes seed(kSeedBytes);
    fill_random(seed);
    return ed25519_data(seed);
}

}  // namespace kwaai::crypto::detail
