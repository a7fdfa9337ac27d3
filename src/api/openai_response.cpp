#include "api/openai_response.hpp"

#include "json/writer.hpp"

namespace kwaai::api {
namespace {

/// The members that every answer begins with, inside the object that `out` has open.
void write_head(json::Writer& out, std::string_view object, const AnswerHead& head) {
    out.member("id", head.id).member("object", object).member("created", head.created);
    out.member("model", head.model).member("system_fingerprint", head.fingerprint);
}

void write_usage(json::Writer& out, const engine::RequestStats& stats) {
    const std::uint64_t total = std::uint64_t{stats.prompt_tokens} + stats.completion_tokens;
    out.key("usage").begin_object().member("prompt_tokens", stats.prompt_tokens);
    out.member("completion_tokens", stats.completion_tokens).member("total_tokens", total).end();
}

/// Members "logprobs" and "finish_reason" of a choice; "" = not finished.
void end_choice(json::Writer& out, std::string_view finish) {
    out.member("logprobs", nullptr);
    if (finish.empty())
        out.member("finish_reason", nullptr);
    else
        out.member("finish_reason", finish);
    out.end();
}

void write_model(json::Writer& out, std::string_view model, std::int64_t created) {
    out.begin_object().member("id", model).member("object", "model").member("created", created);
    out.member("owned_by", "kwaai").end();
}

std::string_view chunk_object(StreamWriter::Kind kind) {
    switch (kind) {
        case StreamWriter::Kind::chat: return "chat.completion.chunk";
        case StreamWriter::Kind::completion: return "text_completion";
    }
    return "";
}

enum class Delta : std::uint8_t { role, text, nothing };

/// A chunk with one choice. While a stream that will tell its usage goes on, "usage" is null.
std::string chunk(StreamWriter::Kind kind,
                  const AnswerHead& head,
                  bool includes_usage,
                  Delta delta,
                  std::string_view text,
                  std::string_view finish) {
    json::Writer out;
    out.begin_object();
    write_head(out, chunk_object(kind), head);
    out.key("choices").begin_array().begin_object().member("index", 0);
    if (kind == StreamWriter::Kind::completion) {
        out.member("text", text);
    } else {
        out.key("delta").begin_object();
        if (delta == Delta::role) out.member("role", "assistant");
        if (delta != Delta::nothing) out.member("content", text);
        out.end();
    }
    end_choice(out, finish);
    out.end();
    if (includes_usage) out.member("usage", nullptr);
    return sse_event(out.end().take());
}

}  // namespace

std::string_view finish_word(engine::FinishReason reason) {
    switch (reason) {
        case engine::FinishReason::stop: return "stop";
        case engine::FinishReason::length: return "length";
        case engine::FinishReason::cancelled:
        case engine::FinishReason::failed: return "";
    }
    return "";
}

std::string chat_answer(const AnswerHead& head, const WholeAnswer& answer) {
    json::Writer out;
    out.begin_object();
    write_head(out, "chat.completion", head);
    out.key("choices").begin_array().begin_object().member("index", 0);
    out.key("message").begin_object().member("role", "assistant");
    out.member("content", answer.text).end();
    end_choice(out, finish_word(answer.finish));
    out.end();
    write_usage(out, answer.stats);
    return out.end().take();
}

std::string completion_answer(const AnswerHead& head, const WholeAnswer& answer) {
    json::Writer out;
    out.begin_object();
    write_head(out, "text_completion", head);
    out.key("choices").begin_array().begin_object().member("index", 0);
    out.member("text", answer.text);
    end_choice(out, finish_word(answer.finish));
    out.end();
    write_usage(out, answer.stats);
    return out.end().take();
}

StreamWriter::StreamWriter(Kind kind, AnswerHead head, bool includes_usage)
    : kind_(kind), head_(std::move(head)), includes_usage_(includes_usage) {}

std::string StreamWriter::begin() const {
    if (kind_ == Kind::completion) return {};
    return chunk(kind_, head_, includes_usage_, Delta::role, "", "");
}

std::string StreamWriter::text(std::string_view text) const {
    if (text.empty()) return {};
    return chunk(kind_, head_, includes_usage_, Delta::text, text, "");
}

std::string StreamWriter::end(engine::FinishReason finish,
                              const engine::RequestStats& stats) const {
    std::string all = chunk(kind_, head_, includes_usage_, Delta::nothing, "", finish_word(finish));
    if (includes_usage_) {
        json::Writer out;
        out.begin_object();
        write_head(out, chunk_object(kind_), head_);
        out.key("choices").begin_array().end();
        write_usage(out, stats);
        all += sse_event(out.end().take());
    }
    return all + sse_event("[DONE]");
}

std::string sse_event(std::string_view json) {
    return "data: " + std::string(json) + "\n\n";
}

std::string model_object(std::string_view model, std::int64_t created) {
    json::Writer out;
    write_model(out, model, created);
    return out.take();
}

std::string model_list(std::string_view model, std::int64_t created) {
    json::Writer out;
    out.begin_object().member("object", "list").key("data").begin_array();
    write_model(out, model, created);
    return out.end().end().take();
}

}  // namespace kwaai::api
