// From logits to a token: penalties, top-k, top-p, min-p, temperature, and one counter-based draw.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.hpp"
#include "base/result.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai::inference {

/// How to choose the next token. The order is: repeat penalty, top-k, top-p, min-p, temperature,
/// draw.
struct SamplingOptions {
    float temperature = 0.8F;     // 0 = greedy
    std::uint32_t top_k = 40;     // 0 = all
    float top_p = 0.95F;          // 1 = all
    float min_p = 0.05F;          // keep p >= min_p * p_max; 0 = all
    float repeat_penalty = 1.0F;  // divides positive, multiplies negative logits of recent tokens
    float frequency_penalty = 0;  // subtracted per occurrence
    float presence_penalty = 0;   // subtracted once
    std::uint32_t repeat_last = 64;  // tokens that count as recent
    std::uint64_t seed = 0;

    /// `Errc::invalid_argument` naming the option, its value and its range.
    [[nodiscard]] Result<void> validate() const;
};

/// The sampling state of one request. Same options, same logits, same tokens: always.
class Sampler {
public:
    explicit Sampler(SamplingOptions options);

    /// Chooses a token from logits [vocabulary]. Non-finite logits are never chosen unless all are;
    /// ties go to the lowest id. Draw n of a request uses counter n, whatever happened before.
    [[nodiscard]] TokenId sample(std::span<const float> logits);

    /// Tells the sampler what was written (prompt and chosen tokens) for the penalties.
    void accept(TokenId token);

private:
    struct Candidate {
        float logit;
        TokenId token;
    };

    void penalise(std::span<const float> logits);
    void keep_top(std::span<const float> logits);
    [[nodiscard]] TokenId draw();

    SamplingOptions options_;
    std::vector<TokenId> recent_;  // ring of the last repeat_last tokens
    std::size_t recent_next_ = 0;
    std::uint64_t draws_ = 0;
    std::vector<float> adjusted_;
    std::vector<Candidate> candidates_;
};

}  // namespace kwaai::inference
