#include "inference/chat_template.hpp"

#include <algorithm>

#include "json/document.hpp"

namespace kwaai::inference {
namespace {

constexpr std::string_view kWhiteSpace = " \t\n\v\f\r";

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != text.npos;
}

std::string_view trim(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(kWhiteSpace);
    if (begin == text.npos) return {};
    return text.substr(begin, text.find_last_not_of(kWhiteSpace) + 1 - begin);
}

std::string_view first_line(std::string_view text) {
    constexpr std::size_t kShownMax = 200;
    const std::string_view trimmed = trim(text);
    return trimmed.substr(0, std::min(trimmed.find('\n'), kShownMax));
}

// Segments in which neighbours differ in kind.
class Prompt {
public:
    Prompt& control(std::string_view text) { return add(text, true); }

    Prompt& plain(std::string_view text) { return add(text, false); }

    [[nodiscard]] std::vector<PromptSegment> take() && { return std::move(segments_); }

private:
    Prompt& add(std::string_view text, bool is_control) {
        if (text.empty()) return *this;
        if (segments_.empty() || segments_.back().is_control != is_control)
            segments_.push_back({std::string(), is_control});
        segments_.back().text += text;
        return *this;
    }

    std::vector<PromptSegment> segments_;
};

std::unexpected<Error> bad_order(std::string_view family, std::size_t index) {
    return fail(Errc::invalid_argument,
                "messages[" + std::to_string(index) +
                    "]: after a system message at the beginning, " + std::string(family) +
                    " wants user and assistant in turn");
}

// Checks that after a first system message the roles are user, assistant, user, ...
Result<void> check_turns(std::string_view family, std::span<const ChatMessage> messages) {
    const std::size_t first = messages.front().role == "system" ? 1 : 0;
    for (std::size_t i = first; i < messages.size(); ++i)
        if (messages[i].role != ((i - first) % 2 == 0 ? "user" : "assistant"))
            return bad_order(family, i);
    if (first == messages.size())
        return fail(Errc::invalid_argument,
                    std::string(family) + " wants a user's message after the system message");
    return {};
}

std::vector<PromptSegment> render_chatml(std::span<const ChatMessage> messages,
                                         std::string_view default_system) {
    Prompt prompt;
    const auto turn = [&](std::string_view role, std::string_view content) {
        prompt.control("<|im_start|>").plain(role).plain("\n").plain(content);
        prompt.control("<|im_end|>").plain("\n");
    };
    if (messages.front().role != "system" && !default_system.empty())
        turn("system", default_system);
    for (const ChatMessage& message : messages)
        turn(message.role, message.content);
    prompt.control("<|im_start|>").plain("assistant\n");
    return std::move(prompt).take();
}

std::vector<PromptSegment> render_llama3(std::span<const ChatMessage> messages,
                                         std::string_view system_preamble) {
    Prompt prompt;
    const auto header = [&](std::string_view role) -> Prompt& {
        prompt.control("<|start_header_id|>").plain(role);
        return prompt.control("<|end_header_id|>").plain("\n\n");
    };
    const bool has_system = messages.front().role == "system";
    if (has_system || !system_preamble.empty()) {
        header("system").plain(system_preamble);
        prompt.plain(has_system ? trim(messages.front().content) : "").control("<|eot_id|>");
    }
    for (const ChatMessage& message : messages.subspan(has_system ? 1 : 0))
        header(message.role).plain(trim(message.content)).control("<|eot_id|>");
    header("assistant");
    return std::move(prompt).take();
}

std::vector<PromptSegment> render_llama2(std::span<const ChatMessage> messages) {
    Prompt prompt;
    std::string system;
    bool is_first = true;
    for (const ChatMessage& message : messages) {
        if (message.role == "system") {
            system = "<<SYS>>\n" + message.content + "\n<</SYS>>\n\n";
        } else if (message.role == "user") {
            if (!is_first) prompt.control("<s>");  // the tokenizer puts the first one
            const std::string content = system + message.content;
            prompt.plain("[INST] ").plain(trim(content)).plain(" [/INST]");
            system.clear();
            is_first = false;
        } else {
            prompt.plain(" ").plain(trim(message.content)).plain(" ").control("</s>");
        }
    }
    return std::move(prompt).take();
}

std::vector<PromptSegment> render_gemma(std::span<const ChatMessage> messages) {
    Prompt prompt;
    std::string system;
    for (const ChatMessage& message : messages) {
        if (message.role == "system") {
            system = message.content + "\n\n";
            continue;
        }
        prompt.control("<start_of_turn>").plain(message.role == "user" ? "user\n" : "model\n");
        prompt.plain(system).plain(trim(message.content));
        prompt.control("<end_of_turn>").plain("\n");
        system.clear();
    }
    prompt.control("<start_of_turn>").plain("model\n");
    return std::move(prompt).take();
}

std::vector<PromptSegment> render_phi3(std::span<const ChatMessage> messages) {
    Prompt prompt;
    for (const ChatMessage& message : messages) {
        prompt.control("<|" + message.role + "|>").plain("\n").plain(message.content);
        prompt.control("<|end|>").plain("\n");
    }
    prompt.control("<|assistant|>").plain("\n");
    return std::move(prompt).take();
}

// The text of a Jinja string literal: \n and escaped quotes.
std::string unescape(std::string_view literal) {
    std::string text;
    for (std::size_t i = 0; i < literal.size(); ++i) {
        if (literal[i] != '\\' || i + 1 == literal.size()) {
            text.push_back(literal[i]);
            continue;
        }
        ++i;
        text.push_back(literal[i] == 'n' ? '\n' : literal[i]);
    }
    return text;
}

// What a chatml template says for conversations without a system message: the text between
// "<|im_start|>system\n" and "<|im_end|>" where it stands whole in one literal.
std::string default_system_of(std::string_view jinja) {
    constexpr std::string_view kBegin = "<|im_start|>system";
    for (std::size_t at = jinja.find(kBegin); at != jinja.npos; at = jinja.find(kBegin, at + 1)) {
        std::string_view rest = jinja.substr(at + kBegin.size());
        if (rest.starts_with("\\n"))
            rest.remove_prefix(2);
        else if (rest.starts_with('\n'))
            rest.remove_prefix(1);
        else
            continue;
        const std::string_view text = rest.substr(0, rest.find("<|im_end|>"));
        const bool is_whole = text.size() < rest.size() && !contains(text, "{{") &&
                              !contains(text, "' ") && !contains(text, "\" ");
        if (is_whole && !text.empty()) return unescape(text);
    }
    return {};
}

// What Llama 3.1 and later put before the system text. They print today's date where the caller
// gives one, else this one; a prompt that changes by the day would not replay.
std::string system_preamble_of(std::string_view jinja) {
    constexpr std::string_view kCutting = "Cutting Knowledge Date: ";
    const std::size_t at = jinja.find(kCutting);
    if (at == jinja.npos) return {};
    const std::string_view date = jinja.substr(at + kCutting.size());
    return std::string(kCutting) + std::string(date.substr(0, date.find("\\n"))) +
           "\nToday Date: 26 Jul 2024\n\n";
}

bool is_known_role(std::string_view role) {
    return role == "system" || role == "user" || role == "assistant";
}

// Marks of templates that have a family's tokens in another layout, in which it would be wrong to
// write: Phi-4, reasoning models that open their answer with <think>, SmolLM3, functionary, Apriel.
constexpr std::string_view kLookalikeMarks[] = {
    "<|im_sep|>",
    "assistant\\n<think>\\n'",
    "'<think>\\n' }}",
    "## Custom Instructions",
    "recipient==",
    "reasoning_prompt",
};

std::optional<ChatTemplate::Family> family_of(std::string_view jinja) {
    using Family = ChatTemplate::Family;
    const auto has = [&](auto... parts) {
        return (contains(jinja, parts) && ...);
    };
    if (std::ranges::any_of(kLookalikeMarks, has)) return std::nullopt;
    if (has("<|im_start|>", "<|im_end|>")) return Family::chatml;
    if (has("<|start_header_id|>", "<|eot_id|>", "trim")) return Family::llama3;
    if (has("<start_of_turn>", "<end_of_turn>")) return Family::gemma;
    if (has("<|user|>", "<|assistant|>", "<|end|>")) return Family::phi3;
    if (has("[INST]", "<<SYS>>")) return Family::llama2;
    return std::nullopt;
}

// The template of a tokenizer_config.json: a text, or a list of named ones.
Result<std::string> template_of(std::string_view tokenizer_config_json) {
    if (tokenizer_config_json.empty()) return std::string();
    auto document = json::parse(tokenizer_config_json);
    if (!document) return forward_error(document, "tokenizer_config.json");
    const auto given = document->root().given("chat_template");
    if (!given) return std::string();
    if (given->kind() == json::Kind::string) {
        KWAAI_TRY(const std::string_view text, given->string());
        return std::string(text);
    }
    auto named = given->array();
    if (!named) return forward_error(named, "tokenizer_config.json");
    for (const json::Value entry : *named) {
        const auto name = entry.find("name");
        const auto source = entry.find("template");
        if (name && source && name->string() == "default") {
            KWAAI_TRY(const std::string_view text, source->string());
            return std::string(text);
        }
    }
    return std::string();
}

bool has_chatml_tokens(const ModelFile& file) {
    if (contains(file.tokenizer_json, "\"<|im_start|>\"")) return true;
    const std::vector<std::string>* tokens = file.metadata.texts("tokenizer.ggml.tokens");
    return tokens != nullptr && std::ranges::find(*tokens, "<|im_start|>") != tokens->end();
}

}  // namespace

Result<ChatTemplate> ChatTemplate::from_model(const ModelFile& file) {
    std::string source;
    if (const std::string* text = file.metadata.text("tokenizer.chat_template")) {
        source = *text;
    } else {
        KWAAI_TRY(source, template_of(file.tokenizer_config_json));
    }
    if (!source.empty()) return from_source(source);
    if (has_chatml_tokens(file)) return ChatTemplate(Family::chatml);
    return fail(Errc::not_found, "this model has no chat template; use --raw");
}

Result<ChatTemplate> ChatTemplate::from_source(std::string_view jinja) {
    const auto family = family_of(jinja);
    if (!family)
        return fail(Errc::unsupported,
                    "this build knows the chat templates chatml, llama2, llama3, gemma and phi3, "
                    "not the one that begins \"" +
                        std::string(first_line(jinja)) + "\"; use --raw");
    ChatTemplate chat(*family);
    if (family == Family::chatml) chat.default_system_ = default_system_of(jinja);
    if (family == Family::llama3) chat.system_preamble_ = system_preamble_of(jinja);
    return chat;
}

std::string_view ChatTemplate::name() const {
    switch (family_) {
        case Family::chatml: return "chatml";
        case Family::llama2: return "llama2";
        case Family::llama3: return "llama3";
        case Family::gemma: return "gemma";
        case Family::phi3: return "phi3";
    }
    return {};
}

Result<std::vector<PromptSegment>> ChatTemplate::render(
    std::span<const ChatMessage> messages) const {
    if (messages.empty())
        return fail(Errc::invalid_argument, "a conversation needs at least one message");
    for (std::size_t i = 0; i < messages.size(); ++i)
        if (!is_known_role(messages[i].role))
            return fail(Errc::invalid_argument,
                        "messages[" + std::to_string(i) + "]: the role \"" + messages[i].role +
                            "\" is not system, user or assistant");
    if (family_ == Family::llama2 || family_ == Family::gemma) {
        KWAAI_CHECKED(check_turns(name(), messages));
    }
    switch (family_) {
        case Family::chatml: return render_chatml(messages, default_system_);
        case Family::llama2: return render_llama2(messages);
        case Family::llama3: return render_llama3(messages, system_preamble_);
        case Family::gemma: return render_gemma(messages);
        case Family::phi3: return render_phi3(messages);
    }
    return std::vector<PromptSegment>();
}

std::vector<TokenId> encode_chat(const Tokenizer& tokenizer,
                                 std::span<const PromptSegment> segments) {
    return tokenizer.encode(segments);
}

std::string to_text(std::span<const PromptSegment> segments) {
    std::string text;
    for (const PromptSegment& segment : segments)
        text += segment.text;
    return text;
}

}  // namespace kwaai::inference
