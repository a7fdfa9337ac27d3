#include "inference/rope.hpp"

#include <algorithm>

#include "inference/portable_math.hpp"

namespace kwaai::inference {
namespace {

constexpr double kTwoPi = 6.28318530717958647693;

// Llama 3: long wavelengths are divided by `factor`, short ones stay, those between are blended.
double llama3_frequency(const RopeConfig& config, double frequency) {
    const double wavelength = kTwoPi / frequency;
    const double original = config.original_context;
    if (wavelength < original / config.high_frequency_factor) return frequency;
    if (wavelength > original / config.low_frequency_factor) return frequency / config.factor;
    const double smooth = (original / wavelength - config.low_frequency_factor) /
                          (config.high_frequency_factor - config.low_frequency_factor);
    return (1 - smooth) * frequency / config.factor + smooth * frequency;
}

// YaRN (Peng et al. 2023): the pair index at which a dimension makes `turns` turns over the
// original context.
double yarn_pair(const RopeConfig& config, double turns) {
    const double dimensions = config.dimensions;
    return dimensions * portable_log(config.original_context / (turns * kTwoPi)) /
           (2 * portable_log(config.base));
}

double yarn_frequency(
    const RopeConfig& config, double frequency, std::uint32_t pair, double low, double high) {
    const double ramp = std::clamp((pair - low) / std::max(0.001, high - low), 0.0, 1.0);
    return frequency / config.factor * ramp + frequency * (1 - ramp);
}

double floor_of(double value) {
    const auto whole = static_cast<double>(static_cast<std::int64_t>(value));
    return whole > value ? whole - 1 : whole;
}

}  // namespace

double rope_frequency(double base, std::uint32_t pair, std::uint32_t dimensions) {
    return portable_exp2(portable_log2(base) * (-2.0 * pair / dimensions));
}

Rope::Rope(const RopeConfig& config) {
    const bool is_yarn = config.scaling == RopeScaling::yarn;
    double low = 0;
    double high = 0;
    if (is_yarn) {
        low = std::max(0.0, floor_of(yarn_pair(config, config.beta_fast)));
        high = std::min(config.dimensions - 1.0, floor_of(yarn_pair(config, config.beta_slow)) + 1);
        magnitude_ = config.attention_factor > 0 ? config.attention_factor
                                                 : 1 + 0.1 * portable_log(config.factor);
    }
    for (std::uint32_t pair = 0; pair < config.dimensions / 2; ++pair) {
        double frequency = rope_frequency(config.base, pair, config.dimensions);
        if (pair < config.factors.size()) frequency /= static_cast<double>(config.factors[pair]);
        switch (config.scaling) {
            case RopeScaling::none: break;
            case RopeScaling::linear: frequency /= config.factor; break;
            case RopeScaling::llama3: frequency = llama3_frequency(config, frequency); break;
            case RopeScaling::yarn:
                frequency = yarn_frequency(config, frequency, pair, low, high);
                break;
        }
        frequencies_.push_back(frequency);
    }
}

void Rope::at(std::uint32_t position, float* cosine, float* sine) const {
    for (std::size_t pair = 0; pair < frequencies_.size(); ++pair) {
        const SineCosine both = portable_sine_cosine(position * frequencies_[pair]);
        cosine[pair] = static_cast<float>(both.cosine * magnitude_);
        sine[pair] = static_cast<float>(both.sine * magnitude_);
    }
}

}  // namespace kwaai::inference
