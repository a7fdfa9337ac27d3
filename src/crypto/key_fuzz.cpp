// Arbitrary bytes as a public and as a private key: what is read is written as the same bytes
// (older forms of private keys as bytes that read as the same key), and signs.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "crypto/key.hpp"

using namespace kwaai;
using namespace kwaai::crypto;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 1400) return 0;  // RSA beyond 2048 bits is slow here
    const Bytes input = std::as_bytes(std::span(data, size));
    if (const auto key = PublicKey::from_protobuf(input)) {
        if (!std::ranges::equal(key->protobuf(), input)) std::abort();
        if (key->type() != KeyType::rsa) (void)key->verify(input, input.first(size / 2));
    }
    if (const auto key = PrivateKey::from_protobuf(input)) {
        const auto again = PrivateKey::from_protobuf(key->protobuf());
        if (!again || again->public_key() != key->public_key()) std::abort();
        if (!key->public_key().verify(input, key->sign(input))) std::abort();
    }
    return 0;
}
