#include "p2p/kad/kad_key.hpp"

#include <bit>

#include "codec/multihash.hpp"
#include "crypto/hash.hpp"

namespace kwaai::p2p::kad {

KadKey KadKey::of(Bytes key) {
    return {crypto::sha256(key)};
}

KadKey KadKey::of(const PeerId& peer) {
    return of(peer.bytes());
}

Distance Distance::between(const KadKey& one, const KadKey& other) {
    Distance distance;
    for (std::size_t i = 0; i < distance.bytes.size(); ++i)
        distance.bytes[i] = one.bytes[i] ^ other.bytes[i];
    return distance;
}

KadKey point_at(const KadKey& from, const Distance& distance) {
    return {Distance::between(from, KadKey{distance.bytes}).bytes};
}

unsigned common_prefix(const KadKey& one, const KadKey& other) {
    unsigned bits = 0;
    for (const std::byte byte : Distance::between(one, other).bytes) {
        if (byte != std::byte{0})
            return bits +
                   static_cast<unsigned>(std::countl_zero(std::to_integer<unsigned char>(byte)));
        bits += 8;
    }
    return bits;
}

codec::Buffer provider_key(std::string_view text) {
    const crypto::Digest digest = crypto::sha256(as_bytes(text));
    return codec::make_multihash(codec::HashCode::sha2_256, digest);
}

}  // namespace kwaai::p2p::kad
