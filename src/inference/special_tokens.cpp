#include "inference/special_tokens.hpp"

#include <algorithm>
#include <functional>

namespace kwaai::inference {
namespace {

constexpr std::string_view kEndNames[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<EOT>",
    "<|return|>",
    "<|call|>",
};

constexpr std::string_view kTurnNames[] = {
    "<|im_start|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<start_of_turn>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
};

std::size_t byte_at(std::string_view text, std::size_t at) {
    return static_cast<unsigned char>(text[at]);
}

}  // namespace

void mark_turn_tokens(Vocabulary& vocabulary) {
    const auto mark = [&](std::string_view name) {
        if (const auto token = vocabulary.find(name))
            vocabulary.set_kind(*token, TokenKind::control);
    };
    std::ranges::for_each(kEndNames, mark);
    std::ranges::for_each(kTurnNames, mark);
}

std::vector<TokenId> well_known_end_tokens(const Vocabulary& vocabulary) {
    // gpt-oss ends each part of an answer with <|end|>, and the answer with <|return|> or <|call|>.
    const bool is_harmony = vocabulary.find("<|return|>") && vocabulary.find("<|call|>");
    std::vector<TokenId> ends;
    for (const std::string_view name : kEndNames) {
        if (is_harmony && name == "<|end|>") continue;
        if (const auto token = vocabulary.find(name)) ends.push_back(*token);
    }
    return ends;
}

SpecialMatcher::SpecialMatcher(const Vocabulary& vocabulary, bool with_control)
    : with_control_(with_control) {
    for (TokenId token = 0; token < vocabulary.size(); ++token) {
        const std::string_view spelling = vocabulary.spelling(token);
        if (!is_member(vocabulary.kind(token)) || spelling.empty() ||
            spelling.size() > kSpellingBytesMax)
            continue;
        const std::size_t first = byte_at(spelling, 0);
        sizes_[first].push_back(static_cast<std::uint16_t>(spelling.size()));
        if (spelling.size() > 1) {
            starts_.set(first << 8 | byte_at(spelling, 1));
        } else {
            for (std::size_t second = 0; second < 256; ++second)
                starts_.set(first << 8 | second);
        }
    }
    for (std::vector<std::uint16_t>& sizes : sizes_) {
        std::ranges::sort(sizes, std::greater());
        const auto rest = std::ranges::unique(sizes);
        sizes.erase(rest.begin(), rest.end());
    }
}

SpecialMatcher::Match SpecialMatcher::find(const Vocabulary& vocabulary,
                                           std::string_view text,
                                           std::size_t from) const {
    for (std::size_t at = from; at < text.size(); ++at) {
        const std::size_t first = byte_at(text, at);
        if (at + 1 < text.size() && !starts_[first << 8 | byte_at(text, at + 1)]) continue;
        for (const std::size_t size : sizes_[first]) {
            if (size > text.size() - at) continue;
            const auto token = vocabulary.find(text.substr(at, size));
            if (token && is_member(vocabulary.kind(*token))) return {at, at + size, *token};
        }
    }
    return {};
}

bool SpecialMatcher::is_member(TokenKind kind) const {
    if (kind == TokenKind::user_defined) return true;
    return with_control_ && (kind == TokenKind::control || kind == TokenKind::unknown);
}

}  // namespace kwaai::inference
