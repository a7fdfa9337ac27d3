#include "inference/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "inference/portable_math.hpp"

namespace kwaai::inference {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

Result<void> check_range(const char* name, float value, float low, float high) {
    if (value >= low && value <= high) return {};
    return fail(Errc::invalid_argument,
                std::string(name) + " " + std::to_string(value) +
                    " is out of range: it must lie between " + std::to_string(low) + " and " +
                    std::to_string(high));
}

}  // namespace

Result<void> SamplingOptions::validate() const {
    KWAAI_CHECKED(check_range("temperature", temperature, 0, 100));
    KWAAI_CHECKED(check_range("top_p", top_p, 0, 1));
    KWAAI_CHECKED(check_range("min_p", min_p, 0, 1));
    KWAAI_CHECKED(check_range("repeat_penalty", repeat_penalty, 0.01F, 100));
    KWAAI_CHECKED(check_range("frequency_penalty", frequency_penalty, -2, 2));
    KWAAI_CHECKED(check_range("presence_penalty", presence_penalty, -2, 2));
    if (repeat_last > 65536)
        return fail(Errc::invalid_argument,
                    "repeat_last " + std::to_string(repeat_last) +
                        " is out of range: it must be at most 65536");
    return {};
}

Sampler::Sampler(SamplingOptions options) : options_(options) {}

void Sampler::accept(TokenId token) {
    if (options_.repeat_last == 0) return;
    if (recent_.size() < options_.repeat_last) {
        recent_.push_back(token);
        return;
    }
    recent_[recent_next_] = token;
    recent_next_ = (recent_next_ + 1) % recent_.size();
}

TokenId Sampler::sample(std::span<const float> logits) {
    penalise(logits);
    if (options_.temperature == 0) {
        const auto best = std::ranges::max_element(adjusted_);  // the first of equal ones
        return static_cast<TokenId>(best - adjusted_.begin());
    }
    keep_top(logits);
    return draw();
}

// adjusted = logits with non-finite ones excluded and the penalties of recent tokens applied.
void Sampler::penalise(std::span<const float> logits) {
    adjusted_.assign(logits.begin(), logits.end());
    for (float& logit : adjusted_)
        if (!std::isfinite(logit)) logit = kNever;
    const bool has_penalty = options_.repeat_penalty != 1 || options_.frequency_penalty != 0 ||
                             options_.presence_penalty != 0;
    if (!has_penalty) return;
    std::vector<TokenId> sorted = recent_;
    std::ranges::sort(sorted);
    for (std::size_t i = 0; i < sorted.size();) {
        std::size_t end = i;
        while (end < sorted.size() && sorted[end] == sorted[i])
            ++end;
        if (sorted[i] < adjusted_.size()) {
            float& logit = adjusted_[sorted[i]];
            logit = logit <= 0 ? logit * options_.repeat_penalty : logit / options_.repeat_penalty;
            logit -= static_cast<float>(end - i) * options_.frequency_penalty +
                     options_.presence_penalty;
        }
        i = end;
    }
}

// candidates = the top k, then the smallest set of mass top_p, then those of at least min_p of the
// best, best first.
void Sampler::keep_top(std::span<const float> logits) {
    candidates_.clear();
    for (std::size_t token = 0; token < logits.size(); ++token)
        if (adjusted_[token] != kNever)
            candidates_.push_back({adjusted_[token], static_cast<TokenId>(token)});
    if (candidates_.empty()) candidates_.push_back({0, 0});
    const auto better = [](const Candidate& a, const Candidate& b) {
        return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
    };
    if (options_.top_k > 0 && options_.top_k < candidates_.size()) {
        const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(options_.top_k);
        std::ranges::nth_element(candidates_, end, better);
        candidates_.erase(end, candidates_.end());
    }
    std::ranges::sort(candidates_, better);

    const auto weight = [&](const Candidate& c) {
        return portable_exp(static_cast<double>(c.logit) -
                            static_cast<double>(candidates_.front().logit));
    };
    std::size_t keep = candidates_.size();
    if (options_.top_p < 1) {
        double total = 0;
        for (const Candidate& c : candidates_)
            total += weight(c);
        double mass = 0;
        for (keep = 0; keep < candidates_.size();) {
            mass += weight(candidates_[keep++]);
            if (mass >= static_cast<double>(options_.top_p) * total) break;
        }
    }
    while (keep > 1 && weight(candidates_[keep - 1]) < static_cast<double>(options_.min_p))
        --keep;
    candidates_.resize(keep);
}

TokenId Sampler::draw() {
    const double temperature = options_.temperature;
    const double best = candidates_.front().logit;
    const auto weight = [&](const Candidate& c) {
        return portable_exp((static_cast<double>(c.logit) - best) / temperature);
    };
    double total = 0;
    for (const Candidate& c : candidates_)
        total += weight(c);
    CounterRandom random(options_.seed, draws_++);
    double left = random.next_unit() * total;
    for (const Candidate& c : candidates_) {
        left -= weight(c);
        if (left < 0) return c.token;
    }
    return candidates_.back().token;
}

}  // namespace kwaai::inference
