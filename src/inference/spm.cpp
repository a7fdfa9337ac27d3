#include "inference/spm.hpp"

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

}  // namespace

Result<SpmModel> SpmModel::make(const Vocabulary& vocabulary, std::span<const double> scores) {
    KWAAI_CHECK(scores.size() == vocabulary.size(), "one score for each token");
    SpmModel model;
    model.ranks_.reserve(scores.size());
    for (const double score : scores)
        model.ranks_.push_back(rank_of(score));
    KWAAI_TRY(model.bytes_, byte_tokens_of(vocabulary));
    return model;
}

void SpmModel::encode(const Vocabulary& vocabulary,
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
