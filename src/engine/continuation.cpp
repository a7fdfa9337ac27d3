#include "engine/continuation.hpp"

#include <algorithm>
#include <utility>

namespace kwaai::engine {
namespace {

double seconds(std::chrono::steady_clock::duration duration) {
    return std::chrono::duration<double>(duration).count();
}

}  // namespace

Continuation::Continuation(const Request& request,
                           std::uint32_t tokens_max,
                           const inference::Tokenizer& tokenizer)
    : tokenizer_(tokenizer),
      ignores_end_(request.ignore_end),
      tokens_max_(tokens_max),
      tokens_(request.prompt),
      sampler_(request.sampling),
      text_(tokenizer,
            request.stops,
            request.continues_prompt ? inference::TextStart::continuation
                                     : inference::TextStart::beginning) {
    stats_.prompt_tokens = static_cast<std::uint32_t>(tokens_.size());
    for (const inference::TokenId token : tokens_)
        sampler_.accept(token);
}

Event Continuation::take(std::span<const float> logits, std::chrono::steady_clock::time_point now) {
    if (stats_.completion_tokens == 0) {
        first_token_ = now;
        stats_.prompt_seconds = seconds(now - started_);
    }
    stats_.completion_seconds = seconds(now - first_token_);
    const inference::TokenId token = sampler_.sample(logits);
    Event event;
    if (tokenizer_.is_end(token) && !ignores_end_) {
        event.finish = FinishReason::stop;
    } else {
        ++stats_.completion_tokens;
        sampler_.accept(token);
        tokens_.push_back(token);
        event.tokens.push_back(token);
        event.text = text_.push(token);
        if (text_.is_stopped())
            event.finish = FinishReason::stop;
        else if (tokens_.size() >= tokens_max_)
            event.finish = FinishReason::length;
    }
    if (event.finish) {
        event.text += text_.finish();
        event.stats = stats_;
    }
    return event;
}

Event Continuation::end(FinishReason reason, std::optional<Error> error) {
    Event event;
    event.text = text_.finish();
    event.finish = reason;
    event.stats = stats_;
    event.error = std::move(error);
    return event;
}

Result<std::uint32_t> check_request(const Request& request,
                                    std::uint32_t context,
                                    std::size_t vocabulary) {
    KWAAI_CHECKED(request.sampling.validate());
    if (request.prompt.empty()) return fail(Errc::invalid_argument, "the prompt is empty");
    for (const inference::TokenId token : request.prompt)
        if (token >= vocabulary)
            return fail(Errc::invalid_argument,
                        "token " + std::to_string(token) + " is outside the vocabulary of " +
                            std::to_string(vocabulary));
    const std::size_t length = request.prompt.size();
    if (length >= context)
        return fail(Errc::limit_exceeded,
                    "the prompt has " + std::to_string(length) + " tokens and the context only " +
                        std::to_string(context) + ": shorten it or raise --context");
    const std::size_t room = context - length;
    const std::size_t completion =
        request.max_tokens > 0 ? std::min<std::size_t>(request.max_tokens, room) : room;
    return static_cast<std::uint32_t>(length + completion);
}

}  // namespace kwaai::engine
