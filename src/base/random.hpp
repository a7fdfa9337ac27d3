// Counter-based random numbers: value n of a seed is a pure function of both, so that a request
// replays.
#pragma once
#include <cstdint>

namespace kwaai {

/// 64 well-mixed bits from (seed, counter): the SplitMix64 output function over a Weyl sequence
/// (Steele et al. 2014).
[[nodiscard]] constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t counter) {
    std::uint64_t z = seed * 0xd1342543de82ef95u + (counter + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/// A sequence of random numbers with an explicit position. Copy it to fork, keep (seed, position)
/// to resume.
class CounterRandom {
public:
    explicit constexpr CounterRandom(std::uint64_t seed, std::uint64_t position = 0)
        : seed_(seed), position_(position) {}

    [[nodiscard]] constexpr std::uint64_t position() const { return position_; }

    constexpr std::uint64_t next() { return random_bits(seed_, position_++); }

    /// Uniform in [0, 1), 53 bits.
    constexpr double next_unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

private:
    std::uint64_t seed_;
    std::uint64_t position_;
};

}  // namespace kwaai
