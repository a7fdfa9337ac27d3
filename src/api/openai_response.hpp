// Answers of OpenAI's routes, byte for byte. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/text_model.hpp"

namespace kwaai::api {

/// What the answers to one request share.
struct AnswerHead {
    std::string id;            // "chatcmpl-..." or "cmpl-..."
    std::int64_t created = 0;  // seconds since 1970
    std::string model;
    std::string fingerprint;  // of program and arithmetic: equal ones give equal texts
};

/// How an answer ended: "stop" or "length". Cancelled and failed requests have no answer.
[[nodiscard]] std::string_view finish_word(engine::FinishReason reason);

/// The whole answer of a request without `stream`.
struct WholeAnswer {
    std::string text;
    engine::FinishReason finish = engine::FinishReason::stop;
    engine::RequestStats stats;
};

[[nodiscard]] std::string chat_answer(const AnswerHead& head, const WholeAnswer& answer);
[[nodiscard]] std::string completion_answer(const AnswerHead& head, const WholeAnswer& answer);

/// The pieces of a stream, each an event "data: ...\n\n" of server-sent events.
class StreamWriter {
public:
    enum class Kind : std::uint8_t { chat, completion };

    StreamWriter(Kind kind, AnswerHead head, bool includes_usage);

    /// What comes first: who speaks (chat); nothing for completions.
    [[nodiscard]] std::string begin() const;
    /// `text` may be empty: then nothing.
    [[nodiscard]] std::string text(std::string_view text) const;
    /// The finish reason, the usage where it was asked for, and the end mark.
    [[nodiscard]] std::string end(engine::FinishReason finish,
                                  const engine::RequestStats& stats) const;

private:
    Kind kind_;
    AnswerHead head_;
    bool includes_usage_;
};

/// An event that carries `json`.
[[nodiscard]] std::string sse_event(std::string_view json);

/// One entry of the list of models, and the list of one.
[[nodiscard]] std::string model_object(std::string_view model, std::int64_t created);
[[nodiscard]] std::string model_list(std::string_view model, std::int64_t created);

}  // namespace kwaai::api
