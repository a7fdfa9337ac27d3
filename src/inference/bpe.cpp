#include "inference/bpe.hpp"

#include "base/check.hpp"
#include "base/random.hpp"
#include "base/utf8.hpp"
#include "inference/byte_alphabet.hpp"

namespace kwaai::inference {
namespace {

std::size_t hash_pair(TokenId left, TokenId right) {
    return static_cast<std::size_t>(random_bits(left, right));
}

ByteTokens letters_of(const Vocabulary& vocabulary) {
    ByteTokens tokens;
    for (unsigned byte = 0; byte < 256; ++byte) {
        const char raw = static_cast<char>(byte);
        // DeepSeek's vocabularies have user-defined tokens such as U+00FF: text, not bytes.
        const auto token = vocabulary.find(spell_bytes({&raw, 1}));
        if (token && vocabulary.kind(*token) == TokenKind::normal) tokens[byte] = token;
    }
    return tokens;
}

}  // namespace

Result<BpeModel> BpeModel::make(const Vocabulary& vocabulary,
                                BpeAlphabet alphabet,
                                std::size_t merge_count) {
    KWAAI_CHECK(merge_count <= kMergesMax, "the caller checks the number of merges");
    BpeModel model;
    model.alphabet_ = alphabet;
    model.merges_.reserve(merge_count);
    model.by_pair_ = IndexTable(merge_count);
    if (alphabet == BpeAlphabet::bytes) {
        model.bytes_ = letters_of(vocabulary);
    } else {
        KWAAI_TRY(model.bytes_, byte_tokens_of(vocabulary));
    }
    return model;
}

bool BpeModel::add_merge(const Vocabulary& vocabulary,
                         std::string_view left,
                         std::string_view right) {
    joined_.assign(left).append(right);
    const auto left_token = vocabulary.find(left);
    const auto right_token = vocabulary.find(right);
    const auto result = vocabulary.find(joined_);
    if (!left_token || !right_token || !result) return false;
    if (find(*left_token, *right_token)) return true;
    KWAAI_CHECK(merges_.size() < merges_.capacity(), "more merges than were announced");
    const auto rank = static_cast<std::uint32_t>(merges_.size());
    merges_.push_back({*left_token, *right_token, *result});
    by_pair_.assign(
        hash_pair(*left_token, *right_token), rank, [](std::uint32_t) { return false; });
    return true;
}

std::optional<MergeRule> BpeModel::find(TokenId left, TokenId right) const {
    const std::uint32_t rank = by_pair_.find(hash_pair(left, right), [&](std::uint32_t index) {
        return merges_[index].left == left && merges_[index].right == right;
    });
    if (rank == IndexTable::kNone) return std::nullopt;
    return MergeRule{rank, merges_[rank].result};
}

std::optional<TokenId> BpeModel::whole_word(const Vocabulary& vocabulary,
                                            std::string_view word) const {
    if (!ignore_merges_ || word.size() > vocabulary.longest()) return std::nullopt;
    return alphabet_ == BpeAlphabet::bytes ? vocabulary.find_plain(spell_bytes(word))
                                           : vocabulary.find_plain(word);
}

void BpeModel::add_symbols(const Vocabulary& vocabulary,
                           std::string_view word,
                           Merger& merger) const {
    const auto add_bytes = [&](std::size_t begin, std::size_t size) {
        for (std::size_t at = begin; at < begin + size; ++at) {
            const auto token = bytes_[static_cast<unsigned char>(word[at])];
            merger.add(static_cast<std::uint32_t>(at), 1, token.value_or(kNoToken));
        }
    };
    if (alphabet_ == BpeAlphabet::bytes) return add_bytes(0, word.size());
    for (std::size_t at = 0; at < word.size();) {
        const std::size_t size = decode_utf8(word.substr(at)).size;
        if (const auto token = vocabulary.find_plain(word.substr(at, size)))
            merger.add(static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(size), *token);
        else
            add_bytes(at, size);
        at += size;
    }
}

void BpeModel::encode(const Vocabulary& vocabulary,
                      std::string_view word,
                      Merger& merger,
                      std::vector<TokenId>& out) const {
    if (const auto token = whole_word(vocabulary, word)) {
        out.push_back(*token);
        return;
    }
    merger.symbols.clear();
    add_symbols(vocabulary, word, merger);
    merger.run([&](const Symbol& left, const Symbol& right) -> std::optional<MergeRule> {
        return find(left.token, right.token);
    });
    for (const Symbol& symbol : merger.symbols) {
        if (symbol.size == 0) continue;
        const auto token = symbol.token == kNoToken ? unknown_ : std::optional(symbol.token);
        if (token) out.push_back(*token);
    }
}

}  // namespace kwaai::inference
