// Where reads of test streams are cut.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/random.hpp"

namespace kwaai::testing {

/// Decides how many of the bytes at hand a read returns; a function of its seed. Seed 0 never
/// splits.
class ReadSplitter {
public:
    explicit ReadSplitter(std::uint64_t seed) : is_splitting_(seed != 0), random_(seed) {}

    /// From 1 to `count`; 0 of 0.
    [[nodiscard]] std::size_t piece(std::size_t count) {
        if (!is_splitting_ || count < 2) return count;
        // Half of the pieces are tiny: that is where parsers go wrong.
        const std::uint64_t bits = random_.next();
        const std::uint64_t bound = (bits & 1) != 0 ? std::min<std::uint64_t>(count, 4) : count;
        return static_cast<std::size_t>(1 + (bits >> 1) % bound);
    }

private:
    bool is_splitting_;
    CounterRandom random_;
};

}  // namespace kwaai::testing
