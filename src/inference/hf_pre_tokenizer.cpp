#include "inference/hf_pre_tokenizer.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "inference/vocabulary.hpp"

namespace kwaai::inference {
namespace {

// The steps of a pre-tokenizer in one line, as `describe` writes them.
struct KnownSteps {
    std::string_view steps;
    PreTokenizer how;
};

// DeepSeek LLM spells out ranges of letters: known by their beginning, shortened to this.
constexpr std::string_view kCasedLettersBegin = "\\s?[A-Za-z\xc2\xb5\xc3\x80-";
constexpr std::string_view kCasedLetters = "\\s?[cased letters]+";

#define KWAAI_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define KWAAI_GPT2 R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"
#define KWAAI_WORDS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|)"
#define KWAAI_REST R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define KWAAI_CJK "[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80\xea\xb0\x80-\xed\x9f\xbf]+"
#define KWAAI_WIDE_PUNCTUATION                                                               \
    "\\s?[!-/:-~\xef\xbc\x81-\xef\xbc\x8f\xef\xbc\x9a-\xef\xbd\x9e\xe2\x80\x98-\xe2\x80\x9f" \
    "\xe3\x80\x80-\xe3\x80\x82]+"

constexpr KnownSteps kKnownSteps[] = {
    {"ByteLevel(regex)", PreTokenizer::gpt2},
    {"Split(" KWAAI_GPT2 ") ByteLevel", PreTokenizer::gpt2},
    {"Digits(individual) ByteLevel(regex)", PreTokenizer::digits_gpt2},
    {"Split(" KWAAI_CONTRACTIONS KWAAI_WORDS R"(\p{N}{1,3})" KWAAI_REST ") ByteLevel",
     PreTokenizer::llama3},
    {"Split(" KWAAI_CONTRACTIONS KWAAI_WORDS R"(\p{N})" KWAAI_REST ") ByteLevel",
     PreTokenizer::qwen2},
    {R"(Split([\r\n]) Split(\s?\p{L}+) Split(\s?\p{P}+) Split()" KWAAI_CJK
     ") Digits(individual) ByteLevel",
     PreTokenizer::deepseek_coder},
    {R"(Split([\r\n]) Split(\s?[cased letters]+) Split()" KWAAI_WIDE_PUNCTUATION
     R"() Split(\s+$) Split()" KWAAI_CJK ") Digits(individual) ByteLevel",
     PreTokenizer::deepseek_llm},
};

#undef KWAAI_CONTRACTIONS
#undef KWAAI_GPT2
#undef KWAAI_WORDS
#undef KWAAI_REST
#undef KWAAI_CJK
#undef KWAAI_WIDE_PUNCTUATION

// An optional boolean member.
Result<bool> flag(json::Value value, std::string_view key, bool otherwise) {
    const auto given = value.given(key);
    if (!given) return otherwise;
    return given->boolean();
}

Result<std::string_view> type_of(json::Value value) {
    KWAAI_TRY(const json::Value type, value.at("type"));
    return type.string();
}

std::unexpected<Error> unsupported(json::Value value, std::string_view what) {
    return fail(Errc::unsupported,
                value.path() + ": this build does not know " + std::string(what));
}

// The text of a member that must be there.
Result<std::string_view> text_at(json::Value value, std::string_view key) {
    KWAAI_TRY(const json::Value member, value.at(key));
    return member.string();
}

// A pattern with line ends written as escapes.
std::string normalised(std::string_view pattern) {
    std::string text;
    for (const char letter : pattern) {
        if (letter == '\r')
            text += "\\r";
        else if (letter == '\n')
            text += "\\n";
        else
            text.push_back(letter);
    }
    return text.starts_with(kCasedLettersBegin) ? std::string(kCasedLetters) : text;
}

Result<std::string> describe_split(json::Value step) {
    KWAAI_TRY(const json::Value pattern, step.at("pattern"));
    if (pattern.find("String")) return unsupported(step, "a split by a plain string here");
    KWAAI_TRY(const std::string_view regex, text_at(pattern, "Regex"));
    KWAAI_TRY(const std::string_view behavior, text_at(step, "behavior"));
    KWAAI_TRY(const bool is_inverted, flag(step, "invert", false));
    // What matches is a word and what lies between is another, or only matches are: all the same
    // for patterns that match everything.
    if (!(behavior == "Isolated" && !is_inverted) && !(behavior == "Removed" && is_inverted))
        return unsupported(step, "the split behavior " + std::string(behavior));
    return "Split(" + normalised(regex) + ")";
}

Result<std::string> describe(json::Value step) {
    KWAAI_TRY(const std::string_view type, type_of(step));
    if (type == "Split") return describe_split(step);
    if (type == "Digits") {
        KWAAI_TRY(const bool is_individual, flag(step, "individual_digits", false));
        return std::string(is_individual ? "Digits(individual)" : "Digits");
    }
    if (type == "ByteLevel") {
        KWAAI_TRY(const bool has_prefix, flag(step, "add_prefix_space", true));
        if (has_prefix) return unsupported(step, "ByteLevel with add_prefix_space");
        KWAAI_TRY(const bool has_regex, flag(step, "use_regex", true));
        return std::string(has_regex ? "ByteLevel(regex)" : "ByteLevel");
    }
    return unsupported(step, "the pre-tokenizer " + std::string(type));
}

bool is_byte_level(json::Value step) {
    const auto type = type_of(step);
    return type && *type == "ByteLevel";
}

Result<PreTokenizer> read_byte_level(json::Value pre_tokenizer, const json::Array* steps) {
    std::string line;
    if (steps == nullptr) {
        KWAAI_TRY(line, describe(pre_tokenizer));
    } else {
        for (const json::Value step : *steps) {
            KWAAI_TRY(const std::string text, describe(step));
            line += (line.empty() ? "" : " ") + text;
        }
    }
    const auto known = std::ranges::find(kKnownSteps, line, &KnownSteps::steps);
    if (known == std::end(kKnownSteps))
        return unsupported(pre_tokenizer, "the way of cutting words " + line);
    return known->how;
}

Result<void> read_metaspace(json::Value value, SpaceRules& rules) {
    KWAAI_TRY(const std::string_view replacement, text_at(value, "replacement"));
    if (replacement != kEscapedSpace) return unsupported(value, "a Metaspace other than U+2581");
    KWAAI_TRY(const bool has_prefix, flag(value, "add_prefix_space", true));
    std::string_view scheme = has_prefix ? "always" : "never";
    if (value.given("prepend_scheme")) {
        KWAAI_TRY(scheme, text_at(value, "prepend_scheme"));
    }
    rules.is_escaped = true;
    rules.is_prefix_conditional = true;
    KWAAI_TRY(rules.is_split, flag(value, "split", true));
    if (scheme == "always")
        rules.prefix = SpacePrefix::every;
    else if (scheme == "first")
        rules.prefix = SpacePrefix::first;
    else if (scheme != "never")
        return unsupported(value, "the prepend_scheme " + std::string(scheme));
    return {};
}

// A pre-tokenizer of a model that works on characters.
Result<void> read_character_level(json::Value value, SpaceRules& rules) {
    KWAAI_TRY(const std::string_view type, type_of(value));
    if (type == "Metaspace") return read_metaspace(value, rules);
    if (type == "Split") {
        KWAAI_TRY(const json::Value pattern, value.at("pattern"));
        const auto text = pattern.find("String");
        // The normaliser has left no space to split at.
        if (text && text->string() == " " && rules.is_escaped) return {};
    }
    return unsupported(value, "the pre-tokenizer " + std::string(type) + " without ByteLevel");
}

Result<void> read_replace(json::Value value, SpaceRules& rules) {
    KWAAI_TRY(const json::Value pattern, value.at("pattern"));
    KWAAI_TRY(const std::string_view content, text_at(value, "content"));
    const auto text = pattern.find("String");
    if (!text || text->string() != " " || content != kEscapedSpace)
        return unsupported(value, "a Replace other than of spaces by U+2581");
    rules.is_escaped = true;
    return {};
}

// One normaliser; a Sequence has no other inside.
Result<void> read_normalizer(json::Value value, SpaceRules& rules) {
    KWAAI_TRY(const std::string_view type, type_of(value));
    if (type == "NFC") return {};  // see the class comment of Tokenizer
    if (type == "Replace") return read_replace(value, rules);
    if (type == "Prepend") {
        KWAAI_TRY(const std::string_view prefix, text_at(value, "prepend"));
        if (prefix != kEscapedSpace) return unsupported(value, "a Prepend other than U+2581");
        rules.prefix = SpacePrefix::every;
        return {};
    }
    return unsupported(value, "the normalizer " + std::string(type));
}

// The elements of a Sequence, under `key`; nothing for any other type.
Result<std::optional<json::Array>> sequence(json::Value value, std::string_view key) {
    KWAAI_TRY(const std::string_view type, type_of(value));
    if (type != "Sequence") return std::optional<json::Array>();
    KWAAI_TRY(const json::Value member, value.at(key));
    KWAAI_TRY(const json::Array elements, member.array());
    return std::optional(elements);
}

Result<void> read_normalizers(json::Value value, SpaceRules& rules) {
    KWAAI_TRY(const auto elements, sequence(value, "normalizers"));
    if (!elements) return read_normalizer(value, rules);
    for (const json::Value element : *elements)
        KWAAI_CHECKED(read_normalizer(element, rules));
    return {};
}

}  // namespace

Result<HfTextRules> read_text_rules(json::Value root) {
    HfTextRules rules;
    if (const auto normalizer = root.given("normalizer")) {
        KWAAI_CHECKED(read_normalizers(*normalizer, rules.spaces));
    }
    const auto pre_tokenizer = root.given("pre_tokenizer");
    if (!pre_tokenizer) return rules;
    KWAAI_TRY(const auto steps, sequence(*pre_tokenizer, "pretokenizers"));
    const bool is_bytes = steps ? std::any_of(steps->begin(), steps->end(), is_byte_level)
                                : is_byte_level(*pre_tokenizer);
    if (is_bytes) {
        if (rules.spaces.is_escaped || rules.spaces.prefix != SpacePrefix::none)
            return unsupported(root, "ByteLevel together with a normalizer of spaces");
        KWAAI_TRY(rules.pre_tokenizer, read_byte_level(*pre_tokenizer, steps ? &*steps : nullptr));
        return rules;
    }
    if (!steps) {
        KWAAI_CHECKED(read_character_level(*pre_tokenizer, rules.spaces));
        return rules;
    }
    for (const json::Value step : *steps)
        KWAAI_CHECKED(read_character_level(step, rules.spaces));
    return rules;
}

}  // namespace kwaai::inference
