#include "inference/spm.hpp"

#include <algorithm>
#include <bit>

#include "base/check.hpp"
#include "base/utf8.hpp"

namespace kwaai::inference {
namespace {

// A number that grows as the score falls. Scores are f32 in files: two that are equal there have
// one rank here.
std::uint32_t rank_of(double score) {
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(score) + 0.0F);  // no -0
    constexpr std::uint32_t kSign = 0x80000000u;
    const std::uint32_t ascending = bits & kSign ? ~bits : bits | kSign;
    return ~ascending;
}

// Where the first word of `text` ends: before the first U+2581 that follows another character.
std::size_t first_word_end(std::string_view text) {
    std::size_t at = 0;
    while (text.substr(at).starts_with(kEscapedSpace))
        at += kEscapedSpace.size();
    return std::min(text.find(kEscapedSpace, at), text.size());
}

}  // namespace

Result<SpmModel> SpmModel::make(const Vocabulary& vocabulary, std::span<const double> scores) {
    KWAAI_CHECK(scores.size() == vocabulary.size(), "one score for each token");
    SpmModel model;
    model.ranks_.reserve(scores.size());
    for (const double score : scores)
        model.ranks_.push_back(rank_of(score));
    KWAAI_TRY(model.bytes_, byte_tokens_of(vocabulary));
    for (TokenId token = 0; token < vocabulary.size() && model.has_words_; ++token) {
        const std::string_view spelling = vocabulary.spelling(token);
        model.has_words_ =
            !vocabulary.is_plain(token) || first_word_end(spelling) == spelling.size();
    }
    return model;
}

// Where no token spans words, each is merged by itself: the same result, from heaps that stay in
// the nearest cache (4 times as fast on a book).
void SpmModel::encode(const Vocabulary& vocabulary,
                      std::string_view text,
                      Merger& merger,
                      std::vector<TokenId>& out) const {
    while (!text.empty()) {
        const std::size_t size = has_words_ ? first_word_end(text) : text.size();
        encode_part(vocabulary, text.substr(0, size), merger, out);
        text.remove_prefix(size);
    }
}

void SpmModel::encode_part(const Vocabulary& vocabulary,
                           std::string_view text,
                           Merger& merger,
                           std::vector<TokenId>& out) const {
    merger.symbols.clear();
    for (std::size_t at = 0; at < text.size();) {
        const unsigned size = decode_utf8(text.substr(at)).size;
        const auto token = vocabulary.find_plain(text.substr(at, size));
        merger.add(static_cast<std::uint32_t>(at), size, token.value_or(kNoToken));
        at += size;
    }
    merger.run([&](const Symbol& left, const Symbol& right) -> std::optional<MergeRule> {
        const auto token = vocabulary.find_plain(text.substr(left.begin, left.size + right.size));
        if (!token) return std::nullopt;
        return MergeRule{ranks_[*token], *token};
    });
    for (const Symbol& symbol : merger.symbols) {
        if (symbol.size == 0) continue;
        if (symbol.token != kNoToken) {
            out.push_back(symbol.token);
            continue;
        }
        for (const char byte : text.substr(symbol.begin, symbol.size)) {
            const auto token = bytes_[static_cast<unsigned char>(byte)];
            if (token || unknown_) out.push_back(token ? *token : *unknown_);
        }
    }
}

}  // namespace kwaai::inference
