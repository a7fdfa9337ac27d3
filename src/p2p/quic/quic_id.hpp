// What names a QUIC connection in packets.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#include "base/bytes.hpp"

namespace kwaai::p2p {

constexpr std::size_t kQuicIdBytesMax = 20;
constexpr std::size_t kQuicOwnIdBytes = 16;  // of those that we choose, at random

struct QuicId {
    std::array<std::byte, kQuicIdBytesMax> bytes{};
    std::uint8_t size = 0;

    QuicId() = default;

    /// @param id at most 20 bytes
    explicit QuicId(Bytes id) : size(static_cast<std::uint8_t>(id.size())) {
        std::ranges::copy(id, bytes.begin());
    }

    [[nodiscard]] Bytes view() const { return Bytes(bytes).first(size); }

    bool operator==(const QuicId&) const = default;
};

/// A peer may choose the ids of its first packets, so that the hash has a secret.
struct QuicIdHash {
    std::uint64_t secret = 0;

    std::size_t operator()(const QuicId& id) const {
        std::uint64_t hash = secret ^ id.size;
        for (std::size_t at = 0; at < id.bytes.size(); at += 4) {
            std::uint32_t word = 0;
            std::memcpy(&word, id.bytes.data() + at, sizeof word);
            hash = (hash ^ word) * 0x9e3779b97f4a7c15;
            hash ^= hash >> 29;
        }
        return hash;
    }
};

/// Where packets with an id are to be brought.
class QuicIdObserver {
public:
    QuicIdObserver() = default;
    QuicIdObserver(const QuicIdObserver&) = delete;
    QuicIdObserver& operator=(const QuicIdObserver&) = delete;
    virtual ~QuicIdObserver() = default;

    virtual void id_added(const QuicId& id) = 0;
    virtual void id_removed(const QuicId& id) = 0;
};

}  // namespace kwaai::p2p
