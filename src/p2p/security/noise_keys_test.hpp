// For the tests of Noise: hexadecimal bytes, and the throw-away keys of the vectors.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "codec/multibase.hpp"
#include "crypto/key.hpp"
#include "p2p/security/noise_channel.hpp"
#include "p2p/security/noise_state.hpp"
#include "testing/hex.hpp"

namespace kwaai::p2p {

using testing::from_hex;
using testing::to_hex;

/// A secret of one byte, 32 times over.
inline codec::Buffer repeated(int byte) {
    return codec::Buffer(32, static_cast<std::byte>(byte));
}

inline crypto::PrivateKey key_of_seed(int byte) {
    std::array<std::byte, 32> seed{};
    seed.fill(static_cast<std::byte>(byte));
    return crypto::PrivateKey::ed25519_from_seed(seed);
}

/// Random bytes that are 32 times `first` the first time, and `second` from then on.
inline std::function<void(MutableBytes)> two_secrets(int first, int second) {
    return [next = first, second](MutableBytes into) mutable {
        std::ranges::fill(into, static_cast<std::byte>(next));
        next = second;
    };
}

/// The sides of the vectors: static secret, ephemeral secret, seed of the identity.
inline SecureIdentity initiator_identity() {
    return SecureIdentity(NoiseIdentity(key_of_seed(0x55), two_secrets(0x22, 0x11)));
}

inline SecureIdentity responder_identity() {
    return SecureIdentity(NoiseIdentity(key_of_seed(0x66), two_secrets(0x44, 0x33)));
}

inline NoiseKeys noise_keys(Bytes static_secret, Bytes ephemeral_secret) {
    return NoiseKeys{.local_static = crypto::x25519_pair(static_secret),
                     .ephemeral = crypto::x25519_pair(ephemeral_secret)};
}

inline NoiseKeys initiator_keys() {
    return noise_keys(repeated(0x22), repeated(0x11));
}

inline NoiseKeys responder_keys() {
    return noise_keys(repeated(0x44), repeated(0x33));
}

}  // namespace kwaai::p2p
