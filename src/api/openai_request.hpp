// Bodies of OpenAI's POST routes, checked and turned into what the engine understands. Pure.
#pragma once
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/api_error.hpp"
#include "inference/chat_template.hpp"
#include "inference/sampler.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai::api {

/// What a request may hold, beyond the limit of the HTTP server on its size.
struct RequestLimits {
    std::size_t messages_max = 4096;
    std::size_t stops_max = 16;
    std::size_t stop_bytes_max = 1024;
};

/// How to write, whatever is continued.
struct WritingOptions {
    inference::SamplingOptions sampling;  // without the seed
    std::optional<std::uint64_t> seed;
    std::uint32_t max_tokens = 0;  // 0 = as many as the context allows
    std::vector<std::string> stops;
    bool is_stream = false;
    bool includes_usage = false;  // stream_options.include_usage
};

/// POST /v1/chat/completions.
struct ChatRequest {
    std::vector<inference::ChatMessage> messages;  // roles: system, user, assistant
    WritingOptions options;
};

/// POST /v1/completions.
struct CompletionRequest {
    std::variant<std::string, std::vector<inference::TokenId>> prompt;
    WritingOptions options;
};

/// Reads a body. Fields left out have llama-server's defaults, except `max_tokens` of completions,
/// which is 16 as OpenAI documents it. Unknown fields, `model` and `user` are ignored; what would
/// change the answer and is not supported (tools, logprobs, n > 1, ...) is refused by name. Token
/// ids are not checked against a vocabulary here.
std::expected<ChatRequest, ApiError> parse_chat_request(
    std::string_view body, const RequestLimits& limits = RequestLimits());
std::expected<CompletionRequest, ApiError> parse_completion_request(
    std::string_view body, const RequestLimits& limits = RequestLimits());

}  // namespace kwaai::api
