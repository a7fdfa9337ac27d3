// Rotary position embedding: the angles of every pair at a position, with the scalings of the llama
// family.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "inference/model_config.hpp"

namespace kwaai::inference {

/// base^(-2 pair / dimensions) in double, the same bits everywhere.
[[nodiscard]] double rope_frequency(double base, std::uint32_t pair, std::uint32_t dimensions);

/// Frequencies of one model, and cosines and sines of a position. Immutable.
class Rope {
public:
    explicit Rope(const RopeConfig& config);

    /// Pairs that rotate: dimensions / 2.
    [[nodiscard]] std::size_t pairs() const { return frequencies_.size(); }

    /// cosine and sine [pairs] of `position`, multiplied by the magnitude of YaRN where that
    /// applies.
    void at(std::uint32_t position, float* cosine, float* sine) const;

private:
    std::vector<double> frequencies_;
    double magnitude_ = 1;
};

}  // namespace kwaai::inference
