// A hash table of indices whose keys live elsewhere: 4 bytes a slot, no node, no copy of a key.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kwaai::inference {

/// Open addressing with linear probing; at most half full.
class IndexTable {
public:
    static constexpr std::uint32_t kNone = 0xFFFFFFFFu;

    /// For up to `count` indices.
    explicit IndexTable(std::size_t count = 0)
        : slots_(std::bit_ceil(count < 4 ? std::size_t{8} : count * 2), kNone) {}

    /// The index for which `is_equal(index)` among those of this hash, else `kNone`.
    [[nodiscard]] std::uint32_t find(std::size_t hash, auto&& is_equal) const {
        return slots_[slot_of(hash, is_equal)];
    }

    /// Puts `index` in, in place of the one that is equal to it.
    void assign(std::size_t hash, std::uint32_t index, auto&& is_equal) {
        slots_[slot_of(hash, is_equal)] = index;
    }

private:
    // The slot that holds the equal index, or the empty one where it belongs.
    [[nodiscard]] std::size_t slot_of(std::size_t hash, auto&& is_equal) const {
        std::size_t slot = hash & (slots_.size() - 1);
        while (slots_[slot] != kNone && !is_equal(slots_[slot]))
            slot = (slot + 1) & (slots_.size() - 1);
        return slot;
    }

    std::vector<std::uint32_t> slots_;
};

}  // namespace kwaai::inference
