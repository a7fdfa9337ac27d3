// Where keys and peers lie in Kademlia's key space, and how far apart.
#pragma once
#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/bytes.hpp"
#include "codec/buffer.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p::kad {

/// A point of the key space, 256 bits: the SHA-256 of a key's bytes, or of a peer id's.
struct KadKey {
    std::array<std::byte, 32> bytes{};

    static KadKey of(Bytes key);
    static KadKey of(const PeerId& peer);

    bool operator==(const KadKey&) const = default;
};

/// The exclusive or of two points; ordered as a number, big end first.
struct Distance {
    std::array<std::byte, 32> bytes{};

    static Distance between(const KadKey& one, const KadKey& other);

    bool operator==(const Distance&) const = default;

    // Eight bytes at a time: lookups and tables compare little else.
    std::strong_ordering operator<=>(const Distance& other) const {
        for (std::size_t i = 0; i + 1 < kWords; ++i)
            if (word(i) != other.word(i)) return word(i) <=> other.word(i);
        return word(kWords - 1) <=> other.word(kWords - 1);
    }

private:
    static constexpr std::size_t kWords = 4;

    [[nodiscard]] std::uint64_t word(std::size_t index) const {
        std::uint64_t bits = 0;
        std::memcpy(&bits, bytes.data() + index * sizeof bits, sizeof bits);
        if constexpr (std::endian::native == std::endian::little) bits = std::byteswap(bits);
        return bits;
    }
};

/// The point that lies at a distance from another.
[[nodiscard]] KadKey point_at(const KadKey& from, const Distance& distance);

/// How many bits at the front are equal, 0 to 256.
[[nodiscard]] unsigned common_prefix(const KadKey& one, const KadKey& other);

/// The key under which whoever offers `text` is found: the SHA-256 multihash of its bytes, as
/// go-libp2p's routing discovery has it (the hash of CIDv1, raw).
[[nodiscard]] codec::Buffer provider_key(std::string_view text);

}  // namespace kwaai::p2p::kad
