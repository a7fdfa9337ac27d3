#include "api/openai_request.hpp"

#include <limits>

#include "base/checked.hpp"
#include "json/document.hpp"

namespace kwaai::api {
namespace {

constexpr std::uint32_t kCompletionTokensDefault = 16;

/// Walks the fields of a body and remembers which one it is at, for `param` of an error.
class FieldReader {
public:
    FieldReader(json::Value root, const RequestLimits& limits) : root_(root), limits_(limits) {}

    [[nodiscard]] const RequestLimits& limits() const { return limits_; }

    [[nodiscard]] const std::string& field() const { return field_; }

    /// The field `name`; nothing where it is missing or null.
    std::optional<json::Value> given(std::string_view name) {
        field_ = name;
        return root_.given(name);
    }

    Result<json::Value> required(std::string_view name) {
        field_ = name;
        return root_.at(name);
    }

private:
    json::Value root_;
    const RequestLimits& limits_;
    std::string field_;
};

Result<void> read_flag(FieldReader& fields, std::string_view name, bool& into) {
    const auto value = fields.given(name);
    if (!value) return {};
    KWAAI_TRY(into, value->boolean());
    return {};
}

/// Reads a number into one sampling option and checks its range at once, so that the error is about
/// this field.
Result<void> read_sampling(FieldReader& fields,
                           std::string_view name,
                           inference::SamplingOptions& options,
                           float inference::SamplingOptions::* into) {
    const auto value = fields.given(name);
    if (!value) return {};
    KWAAI_TRY(const double number, value->number());
    options.*into = static_cast<float>(number);
    return options.validate();
}

Result<void> read_top_k(FieldReader& fields, inference::SamplingOptions& options) {
    const auto value = fields.given("top_k");
    if (!value) return {};
    KWAAI_TRY(const std::int64_t number, value->integer());
    // -1 says "all" in vLLM's dialect, 0 in llama.cpp's.
    if (number < -1 || number > std::numeric_limits<std::int32_t>::max())
        return value->error("must be 0 (all) or the number of tokens to keep");
    options.top_k = number < 0 ? 0 : static_cast<std::uint32_t>(number);
    return {};
}

Result<void> read_seed(FieldReader& fields, std::optional<std::uint64_t>& seed) {
    const auto value = fields.given("seed");
    if (!value) return {};
    // OpenAI's seeds are signed, ours are not: any 64 bits will do.
    if (const auto number = value->integer()) {
        seed = static_cast<std::uint64_t>(*number);
        return {};
    }
    KWAAI_TRY(seed, value->unsigned_integer());
    return {};
}

Result<void> read_max_tokens(FieldReader& fields, std::uint32_t& max_tokens) {
    // The newer name wins.
    for (const std::string_view name : {"max_tokens", "max_completion_tokens"}) {
        const auto value = fields.given(name);
        if (!value) continue;
        KWAAI_TRY(const std::int64_t number, value->integer());
        const auto checked = checked_cast<std::uint32_t>(number);
        if (!checked || *checked == 0) return value->error("must be at least 1");
        max_tokens = *checked;
    }
    return {};
}

Result<void> add_stop(json::Value value,
                      const RequestLimits& limits,
                      std::vector<std::string>& to) {
    KWAAI_TRY(const std::string_view text, value.string());
    if (text.empty()) return value.error("a stop string must not be empty");
    if (text.size() > limits.stop_bytes_max) {
        return value.error("a stop string may have " + std::to_string(limits.stop_bytes_max) +
                           " bytes and this one has " + std::to_string(text.size()));
    }
    to.emplace_back(text);
    return {};
}

Result<void> read_stops(FieldReader& fields, std::vector<std::string>& stops) {
    const auto value = fields.given("stop");
    if (!value) return {};
    if (value->kind() == json::Kind::string) return add_stop(*value, fields.limits(), stops);
    if (value->kind() != json::Kind::array)
        return value->error("expected a string or an array of strings");
    KWAAI_TRY(const json::Array list, value->array());
    if (list.size() > fields.limits().stops_max) {
        return value->error("at most " + std::to_string(fields.limits().stops_max) +
                            " stop strings are allowed, not " + std::to_string(list.size()));
    }
    for (const json::Value item : list)
        KWAAI_CHECKED(add_stop(item, fields.limits(), stops));
    return {};
}

Result<void> read_stream(FieldReader& fields, WritingOptions& options) {
    KWAAI_CHECKED(read_flag(fields, "stream", options.is_stream));
    const auto extra = fields.given("stream_options");
    if (!extra) return {};
    KWAAI_CHECKED(extra->object());
    if (!options.is_stream) return extra->error("only allowed when stream is true");
    const auto usage = extra->given("include_usage");
    if (!usage) return {};
    KWAAI_TRY(options.includes_usage, usage->boolean());
    return {};
}

std::unexpected<Error> unsupported(const json::Value& value, std::string_view what) {
    return fail(Errc::unsupported, value.path() + ": " + std::string(what));
}

/// A field that must be missing, null, or one of the harmless values; `why` is told otherwise.
Result<void> refuse_number_but(FieldReader& fields,
                               std::string_view name,
                               std::int64_t harmless,
                               std::string_view why) {
    const auto value = fields.given(name);
    if (!value) return {};
    KWAAI_TRY(const std::int64_t number, value->integer());
    return number == harmless ? Result<void>() : unsupported(*value, why);
}

Result<void> refuse_filled(FieldReader& fields, std::string_view name, std::string_view why) {
    const auto value = fields.given(name);
    if (!value) return {};
    const bool is_empty = (value->kind() == json::Kind::array && value->array()->size() == 0) ||
                          (value->kind() == json::Kind::object && value->object()->size() == 0) ||
                          (value->kind() == json::Kind::string && value->string()->empty()) ||
                          (value->kind() == json::Kind::boolean && !*value->boolean());
    return is_empty ? Result<void>() : unsupported(*value, why);
}

Result<void> refuse_formats(FieldReader& fields) {
    const auto format = fields.given("response_format");
    if (!format) return {};
    KWAAI_TRY(const json::Value type, format->at("type"));
    KWAAI_TRY(const std::string_view name, type.string());
    if (name == "text") return {};
    return unsupported(type, "this server writes plain text; only \"text\" is supported");
}

/// What would change the answer and cannot be done.
Result<void> refuse_unsupported(FieldReader& fields) {
    KWAAI_CHECKED(refuse_number_but(fields, "n", 1, "only one answer to a request is supported"));
    KWAAI_CHECKED(refuse_number_but(fields, "best_of", 1, "only 1 is supported"));
    KWAAI_CHECKED(refuse_number_but(fields,
                                    "top_logprobs",
                                    0,
                                    "log probabilities are not "
                                    "supported"));
    KWAAI_CHECKED(refuse_filled(fields, "logprobs", "log probabilities are not supported"));
    KWAAI_CHECKED(refuse_filled(fields, "logit_bias", "biases are not supported"));
    KWAAI_CHECKED(refuse_filled(fields, "tools", "tools are not supported"));
    KWAAI_CHECKED(refuse_filled(fields, "functions", "tools are not supported"));
    KWAAI_CHECKED(refuse_filled(fields, "echo", "repeating the prompt is not supported"));
    KWAAI_CHECKED(refuse_filled(fields, "suffix", "text after the answer is not supported"));
    return refuse_formats(fields);
}

Result<void> read_options(FieldReader& fields, WritingOptions& options) {
    using inference::SamplingOptions;
    auto& sampling = options.sampling;
    KWAAI_CHECKED(read_sampling(fields, "temperature", sampling, &SamplingOptions::temperature));
    KWAAI_CHECKED(read_sampling(fields, "top_p", sampling, &SamplingOptions::top_p));
    KWAAI_CHECKED(read_sampling(fields, "min_p", sampling, &SamplingOptions::min_p));
    KWAAI_CHECKED(
        read_sampling(fields, "repeat_penalty", sampling, &SamplingOptions::repeat_penalty));
    KWAAI_CHECKED(
        read_sampling(fields, "frequency_penalty", sampling, &SamplingOptions::frequency_penalty));
    KWAAI_CHECKED(
        read_sampling(fields, "presence_penalty", sampling, &SamplingOptions::presence_penalty));
    KWAAI_CHECKED(read_top_k(fields, sampling));
    KWAAI_CHECKED(read_seed(fields, options.seed));
    KWAAI_CHECKED(read_max_tokens(fields, options.max_tokens));
    KWAAI_CHECKED(read_stops(fields, options.stops));
    KWAAI_CHECKED(read_stream(fields, options));
    return refuse_unsupported(fields);
}

Result<std::string> read_role(const json::Value& message) {
    KWAAI_TRY(const json::Value role, message.at("role"));
    KWAAI_TRY(const std::string_view name, role.string());
    if (name == "developer") return std::string("system");  // OpenAI's newer word for it
    if (name == "system" || name == "user" || name == "assistant") return std::string(name);
    if (name == "tool" || name == "function") return unsupported(role, "tools are not supported");
    return role.error("expected system, developer, user or assistant");
}

/// A string, or an array of parts of which only text is understood; parts follow each other
/// directly.
Result<std::string> read_content(const json::Value& message) {
    const auto content = message.given("content");
    if (!content) {
        // An assistant that only called tools has none.
        if (const auto calls = message.given("tool_calls"))
            return unsupported(*calls, "tools are not supported");
        KWAAI_TRY(const json::Value present, message.at("content"));
        return present.error("expected a string or an array of text parts");
    }
    if (content->kind() == json::Kind::string) {
        KWAAI_TRY(const std::string_view text, content->string());
        return std::string(text);
    }
    if (content->kind() != json::Kind::array)
        return content->error("expected a string or an array of text parts");
    KWAAI_TRY(const json::Array parts, content->array());
    std::string all;
    for (const json::Value part : parts) {
        KWAAI_TRY(const json::Value type, part.at("type"));
        KWAAI_TRY(const std::string_view name, type.string());
        if (name != "text") return unsupported(type, "only parts of type \"text\" are supported");
        KWAAI_TRY(const json::Value text, part.at("text"));
        KWAAI_TRY(const std::string_view characters, text.string());
        all += characters;
    }
    return all;
}

Result<void> read_messages(FieldReader& fields, std::vector<inference::ChatMessage>& messages) {
    KWAAI_TRY(const json::Value value, fields.required("messages"));
    KWAAI_TRY(const json::Array list, value.array());
    if (list.size() == 0) return value.error("must hold at least one message");
    if (list.size() > fields.limits().messages_max) {
        return value.error("at most " + std::to_string(fields.limits().messages_max) +
                           " messages are allowed, not " + std::to_string(list.size()));
    }
    for (const json::Value message : list) {
        KWAAI_TRY(std::string role, read_role(message));
        KWAAI_TRY(std::string content, read_content(message));
        messages.push_back({.role = std::move(role), .content = std::move(content)});
    }
    return {};
}

Result<std::vector<inference::TokenId>> read_tokens(const json::Array& list) {
    std::vector<inference::TokenId> tokens;
    tokens.reserve(list.size());
    for (const json::Value item : list) {
        KWAAI_TRY(const std::uint64_t number, item.unsigned_integer());
        const auto token = checked_cast<inference::TokenId>(number);
        if (!token) return item.error("no such token");
        tokens.push_back(*token);
    }
    return tokens;
}

/// "text", ["text"], [1, 2] or [[1, 2]].
Result<void> read_prompt(FieldReader& fields, CompletionRequest& request) {
    KWAAI_TRY(json::Value value, fields.required("prompt"));
    if (value.kind() == json::Kind::array) {
        KWAAI_TRY(const json::Array list, value.array());
        if (list.size() == 0) return value.error("must not be empty");
        const json::Value first = *list.begin();
        if (first.kind() == json::Kind::number) {
            KWAAI_TRY(request.prompt, read_tokens(list));
            return {};
        }
        if (list.size() > 1) return unsupported(value, "only one prompt in a request is supported");
        value = first;
    }
    if (value.kind() == json::Kind::array) {
        KWAAI_TRY(const json::Array list, value.array());
        KWAAI_TRY(auto tokens, read_tokens(list));
        if (tokens.empty()) return value.error("must not be empty");
        request.prompt = std::move(tokens);
        return {};
    }
    if (value.kind() != json::Kind::string)
        return value.error("expected a string, an array with one string, or an array of token ids");
    KWAAI_TRY(const std::string_view text, value.string());
    request.prompt = std::string(text);
    return {};
}

/// Parses a body as an object and hands its fields to `read`.
template <class Request, class Read>
std::expected<Request, ApiError> parse_body(std::string_view body,
                                            const RequestLimits& limits,
                                            Read read) {
    const auto document = json::parse(body, {.depth_max = 32});
    if (!document) {
        Error error = document.error();
        return std::unexpected(
            api_error(std::move(error).with("the body is not the JSON of a request"), {}));
    }
    if (const auto object = document->root().object(); !object)
        return std::unexpected(api_error(object.error(), {}));
    FieldReader fields(document->root(), limits);
    Request request;
    if (const Result<void> done = read(fields, request); !done)
        return std::unexpected(api_error(done.error(), fields.field()));
    return request;
}

}  // namespace

std::expected<ChatRequest, ApiError> parse_chat_request(std::string_view body,
                                                        const RequestLimits& limits) {
    const auto read = [](FieldReader& fields, ChatRequest& request) -> Result<void> {
        KWAAI_CHECKED(read_messages(fields, request.messages));
        return read_options(fields, request.options);
    };
    return parse_body<ChatRequest>(body, limits, read);
}

std::expected<CompletionRequest, ApiError> parse_completion_request(std::string_view body,
                                                                    const RequestLimits& limits) {
    const auto read = [](FieldReader& fields, CompletionRequest& request) -> Result<void> {
        request.options.max_tokens = kCompletionTokensDefault;
        KWAAI_CHECKED(read_prompt(fields, request));
        return read_options(fields, request.options);
    };
    return parse_body<CompletionRequest>(body, limits, read);
}

}  // namespace kwaai::api
