// One text on its way: from logits to tokens, text and the reason why it ends.
#pragma once
#include <chrono>
#include <span>
#include <vector>

#include "engine/text_model.hpp"
#include "inference/sampler.hpp"
#include "inference/text_stream.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai::engine {

/// What a request becomes, wherever its blocks are computed.
class Continuation {
public:
    /// @param tokens_max prompt and completion together
    /// @param tokenizer outlives it
    Continuation(const Request& request,
                 std::uint32_t tokens_max,
                 const inference::Tokenizer& tokenizer);

    /// The prompt's first row is about to be computed.
    void start(std::chrono::steady_clock::time_point now) { started_ = now; }

    /// Chooses the next token. The event has `finish` where it was the last one.
    [[nodiscard]] Event take(std::span<const float> logits,
                             std::chrono::steady_clock::time_point now);

    /// The last event of a text that ends for another reason.
    [[nodiscard]] Event end(FinishReason reason, std::optional<Error> error);

    /// The prompt, then what was written. The last one's row has not been computed.
    [[nodiscard]] const std::vector<inference::TokenId>& tokens() const { return tokens_; }

    [[nodiscard]] std::vector<inference::TokenId> take_tokens() && { return std::move(tokens_); }

    [[nodiscard]] std::uint32_t tokens_max() const { return tokens_max_; }

    [[nodiscard]] RequestStats& stats() { return stats_; }

private:
    const inference::Tokenizer& tokenizer_;
    bool ignores_end_;
    std::uint32_t tokens_max_;
    std::vector<inference::TokenId> tokens_;
    inference::Sampler sampler_;
    inference::TextStream text_;
    RequestStats stats_;
    std::chrono::steady_clock::time_point started_;
    std::chrono::steady_clock::time_point first_token_;
};

/// Prompt and completion of `request` together in a model with `context` positions. Errors of
/// TextModel::submit for what is wrong with the request itself.
[[nodiscard]] Result<std::uint32_t> check_request(const Request& request,
                                                  std::uint32_t context,
                                                  std::size_t vocabulary);

}  // namespace kwaai::engine
