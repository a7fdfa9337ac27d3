#include "inference/tokenizer.hpp"

#include <algorithm>
#include <utility>

#include "inference/byte_alphabet.hpp"
#include "inference/special_tokens.hpp"
#include "inference/tokenizer_parts.hpp"

namespace kwaai::inference {
namespace {

constexpr std::string_view kAsciiSpace = " \t\n\v\f\r";

// Offsets inside a stretch are 32 bits wide, and escaping a space makes three bytes of one.
constexpr std::size_t kStretchBytesMax = std::size_t{1} << 30;

std::string escape_spaces(std::string_view text, bool with_prefix) {
    std::string escaped;
    escaped.reserve(text.size() + text.size() / 2 + kEscapedSpace.size());
    if (with_prefix) escaped += kEscapedSpace;
    for (const char letter : text) {
        if (letter == ' ')
            escaped += kEscapedSpace;
        else
            escaped.push_back(letter);
    }
    return escaped;
}

std::string unescape_spaces(std::string_view text) {
    std::string plain;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t escape = std::min(text.find(kEscapedSpace, at), text.size());
        plain += text.substr(at, escape - at);
        if (escape < text.size()) plain.push_back(' ');
        at = escape + kEscapedSpace.size();
    }
    return plain;
}

std::string_view strip_left(std::string_view text) {
    return text.substr(std::min(text.find_first_not_of(kAsciiSpace), text.size()));
}

std::string_view strip_right(std::string_view text) {
    return text.substr(0, text.find_last_not_of(kAsciiSpace) + 1);
}

bool contains(const std::vector<TokenId>& sorted, TokenId token) {
    return std::ranges::binary_search(sorted, token);
}

// Completes what a reader found with what the names of tokens say.
TokenizerParts complete(TokenizerParts parts) {
    mark_turn_tokens(parts.vocabulary);
    for (const TokenId end : well_known_end_tokens(parts.vocabulary))
        parts.ends.push_back(end);
    if (parts.eos) parts.ends.push_back(*parts.eos);
    std::ranges::sort(parts.ends);
    std::ranges::sort(parts.strips_left);
    std::ranges::sort(parts.strips_right);

    std::vector<TokenId> controls = parts.ends;
    if (parts.bos) controls.push_back(*parts.bos);
    for (const TokenId token : controls)
        if (parts.vocabulary.kind(token) == TokenKind::user_defined)
            parts.vocabulary.set_kind(token, TokenKind::control);
    return parts;
}

}  // namespace

struct Tokenizer::Impl : TokenizerParts {
    explicit Impl(TokenizerParts parts)
        : TokenizerParts(complete(std::move(parts))),
          user_defined(vocabulary, false),
          all_special(vocabulary, true) {}

    SpecialMatcher user_defined;
    SpecialMatcher all_special;
};

namespace {

// One call of encode: takes texts one after the other, as parts of one prompt.
class Encoding {
public:
    explicit Encoding(const Tokenizer::Impl& parts) : parts_(parts) {}

    void add_text(std::string_view text, bool parse_special) {
        const SpecialMatcher& matcher = parse_special ? parts_.all_special : parts_.user_defined;
        for (std::size_t at = 0; at < text.size();) {
            const SpecialMatcher::Match match = matcher.find(parts_.vocabulary, text, at);
            if (match.begin == text.npos) return add_fragment(text.substr(at));
            std::string_view before = text.substr(at, match.begin - at);
            if (contains(parts_.strips_left, match.token)) before = strip_right(before);
            add_fragment(before);
            add_special(match.token);
            at = match.end;
        }
    }

    // The ids, with BOS in front where it is wanted and not there yet.
    [[nodiscard]] std::vector<TokenId> finish(bool with_bos) && {
        if (with_bos && (ids_.empty() || ids_.front() != *parts_.bos))
            ids_.insert(ids_.begin(), *parts_.bos);
        return std::move(ids_);
    }

private:
    void add_special(TokenId token) {
        ids_.push_back(token);
        is_after_special_ = true;
        is_first_ = false;
        strips_next_ = contains(parts_.strips_right, token);
    }

    // Text without special tokens.
    void add_fragment(std::string_view text) {
        if (std::exchange(strips_next_, false)) text = strip_left(text);
        if (text.empty()) return;
        while (!text.empty()) {
            const std::string_view stretch = text.substr(0, kStretchBytesMax);
            add_stretch(stretch);
            text.remove_prefix(stretch.size());
            is_after_special_ = is_first_ = false;
        }
    }

    void add_stretch(std::string_view text) {
        if (parts_.pre_tokenizer)
            split_words(
                *parts_.pre_tokenizer, text, [&](std::string_view word) { add_word(word); });
        else if (parts_.spaces.is_escaped)
            add_escaped(escape_spaces(text, wants_prefix(text)));
        else
            add_word(text);
    }

    [[nodiscard]] bool wants_prefix(std::string_view text) const {
        const SpaceRules& rules = parts_.spaces;
        if (rules.is_prefix_conditional && (text[0] == ' ' || text.starts_with(kEscapedSpace)))
            return false;
        if (rules.prefix == SpacePrefix::every) return is_after_special_;
        return rules.prefix == SpacePrefix::first && is_first_;
    }

    void add_escaped(std::string_view text) {
        if (!parts_.spaces.is_split) return add_word(text);
        while (!text.empty()) {
            const std::string_view word = text.substr(0, text.find(kEscapedSpace, 1));
            add_word(word);
            text.remove_prefix(word.size());
        }
    }

    void add_word(std::string_view word) {
        std::visit([&](const auto& model) { model.encode(parts_.vocabulary, word, merger_, ids_); },
                   parts_.model);
    }

    const Tokenizer::Impl& parts_;
    Merger merger_;
    std::vector<TokenId> ids_;
    bool is_first_ = true;          // nothing came before
    bool is_after_special_ = true;  // nothing, or a special token came before
    bool strips_next_ = false;      // the token before takes the white space after it
};

}  // namespace

Result<Tokenizer> Tokenizer::from_model(const ModelFile& file) {
    auto parts =
        file.tokenizer_json.empty()
            ? read_gguf_tokenizer(file.metadata)
            : read_hf_tokenizer(file.tokenizer_json, file.tokenizer_config_json, file.config_json);
    if (!parts) return forward_error(parts, "tokenizer");
    return Tokenizer(std::make_unique<Impl>(std::move(*parts)));
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
    Encoding encoding(*impl_);
    encoding.add_text(text, options.parse_special);
    return std::move(encoding).finish(options.add_bos && impl_->add_bos);
}

std::vector<TokenId> Tokenizer::encode(std::span<const PromptSegment> segments) const {
    Encoding encoding(*impl_);
    for (const PromptSegment& segment : segments)
        encoding.add_text(segment.text, segment.is_control);
    return std::move(encoding).finish(impl_->add_bos);
}

std::string Tokenizer::piece(TokenId token, bool render_special) const {
    if (token >= size()) return {};
    const std::string_view text = impl_->vocabulary.spelling(token);
    switch (impl_->vocabulary.kind(token)) {
        case TokenKind::control:
        case TokenKind::unknown: return render_special ? std::string(text) : std::string();
        case TokenKind::user_defined: return std::string(text);
        case TokenKind::byte: return std::string(1, *byte_of_spelling(text));
        case TokenKind::normal:
        case TokenKind::unused: break;
    }
    if (impl_->pre_tokenizer) return unspell_bytes(text);
    return impl_->spaces.is_escaped ? unescape_spaces(text) : std::string(text);
}

std::string Tokenizer::decode(std::span<const TokenId> tokens, bool render_special) const {
    std::string text;
    for (const TokenId token : tokens)
        text += piece(token, render_special);
    if (add_space_prefix() && text.starts_with(' ')) text.erase(0, 1);
    return text;
}

std::size_t Tokenizer::size() const {
    return impl_->vocabulary.size();
}

std::optional<TokenId> Tokenizer::bos() const {
    return impl_->bos;
}

std::optional<TokenId> Tokenizer::eos() const {
    return impl_->eos;
}

bool Tokenizer::add_bos() const {
    return impl_->add_bos;
}

bool Tokenizer::add_space_prefix() const {
    return impl_->spaces.prefix != SpacePrefix::none;
}

bool Tokenizer::is_end(TokenId token) const {
    return contains(impl_->ends, token);
}

std::optional<TokenId> Tokenizer::find(std::string_view text) const {
    return impl_->vocabulary.find(text);
}

std::string_view Tokenizer::spelling(TokenId token) const {
    return token < size() ? impl_->vocabulary.spelling(token) : std::string_view();
}

std::string Tokenizer::description() const {
    return impl_->description;
}

}  // namespace kwaai::inference
