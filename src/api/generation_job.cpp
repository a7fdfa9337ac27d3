#include "api/generation_job.hpp"

#include <string>
#include <variant>
#include <vector>

#include "api/openai_request.hpp"

namespace kwaai::api {
namespace {

using inference::TokenId;

GenerationJob job_of(std::vector<TokenId> prompt, WritingOptions options, std::uint64_t seed) {
    GenerationJob job;
    job.request.prompt = std::move(prompt);
    job.request.sampling = options.sampling;
    job.request.sampling.seed = options.seed.value_or(seed);
    job.request.max_tokens = options.max_tokens;
    job.request.stops = std::move(options.stops);
    job.is_stream = options.is_stream;
    job.includes_usage = options.includes_usage;
    return job;
}

std::expected<GenerationJob, ApiError> prepare_chat(const engine::TextModel& model,
                                                    std::string_view body,
                                                    std::uint64_t seed) {
    auto parsed = parse_chat_request(body);
    if (!parsed) return std::unexpected(std::move(parsed).error());
    const auto& chat = model.chat_template();
    if (!chat) {
        return std::unexpected(ApiError{.status = 400,
                                        .message = model.model_name() + " cannot chat (" +
                                                   chat.error().context +
                                                   "); ask /v1/completions instead",
                                        .code = "no_chat_template",
                                        .param = "messages"});
    }
    const auto segments = chat->render(parsed->messages);
    if (!segments) return std::unexpected(api_error(segments.error(), "messages"));
    return job_of(
        inference::encode_chat(model.tokenizer(), *segments), std::move(parsed->options), seed);
}

std::expected<GenerationJob, ApiError> prepare_completion(const engine::TextModel& model,
                                                          std::string_view body,
                                                          std::uint64_t seed) {
    auto parsed = parse_completion_request(body);
    if (!parsed) return std::unexpected(std::move(parsed).error());
    std::vector<TokenId> prompt;
    if (const auto* text = std::get_if<std::string>(&parsed->prompt)) {
        // A raw prompt may spell out control tokens: its author plays all roles.
        prompt = model.tokenizer().encode(*text, {.parse_special = true, .add_bos = true});
    } else {
        prompt = std::get<std::vector<TokenId>>(std::move(parsed->prompt));
    }
    GenerationJob job = job_of(std::move(prompt), std::move(parsed->options), seed);
    job.request.continues_prompt = true;
    return job;
}

}  // namespace

std::expected<GenerationJob, ApiError> prepare_job(StreamWriter::Kind kind,
                                                   const engine::TextModel& model,
                                                   std::string_view body,
                                                   std::uint64_t seed) {
    switch (kind) {
        case StreamWriter::Kind::chat: return prepare_chat(model, body, seed);
        case StreamWriter::Kind::completion: return prepare_completion(model, body, seed);
    }
    return {};
}

ApiError submit_error(const Error& error, StreamWriter::Kind kind) {
    const bool is_about_prompt =
        error.code == Errc::limit_exceeded || error.code == Errc::invalid_argument;
    const bool is_chat = kind == StreamWriter::Kind::chat;
    ApiError refusal = api_error(error, is_about_prompt ? (is_chat ? "messages" : "prompt") : "");
    if (error.code == Errc::limit_exceeded) refusal.code = "context_length_exceeded";
    return refusal;
}

}  // namespace kwaai::api
