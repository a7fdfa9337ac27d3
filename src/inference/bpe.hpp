// Byte-pair encoding by a ranked list of merges, as GPT-2 and Hugging Face's BPE models have it.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "inference/index_table.hpp"
#include "inference/merge.hpp"
#include "inference/vocabulary.hpp"

namespace kwaai::inference {

/// What a word is cut into before merging.
enum class BpeAlphabet : std::uint8_t {
    bytes,       ///< bytes, spelled in GPT-2's alphabet
    characters,  ///< characters; those that are no token fall to byte tokens "<0x0A>"
};

/// The merges of a vocabulary, by token ids: no string is touched while encoding.
class BpeModel {
public:
    static constexpr std::size_t kMergesMax = std::size_t{1} << 23;

    BpeModel() = default;
    /// For up to `merge_count` merges, at most kMergesMax. `Errc::malformed` for a byte token that
    /// is spelled wrongly.
    static Result<BpeModel> make(const Vocabulary& vocabulary,
                                 BpeAlphabet alphabet,
                                 std::size_t merge_count);

    /// Adds the merge with the next rank; the first of equal ones counts. False where one of the
    /// two tokens, or what they make, is not in the vocabulary.
    [[nodiscard]] bool add_merge(const Vocabulary& vocabulary,
                                 std::string_view left,
                                 std::string_view right);

    /// The token for what nothing else stands for. Without it such characters are left out.
    void set_unknown(std::optional<TokenId> unknown) { unknown_ = unknown; }

    /// Whether a word that is a token is taken whole, without merging.
    void set_ignore_merges(bool ignore) { ignore_merges_ = ignore; }

    /// Appends the tokens of a word of less than 4 GiB to `out`. O(n log n).
    void encode(const Vocabulary& vocabulary,
                std::string_view word,
                Merger& merger,
                std::vector<TokenId>& out) const;

private:
    struct Merge {
        TokenId left, right, result;
    };

    [[nodiscard]] std::optional<TokenId> whole_word(const Vocabulary& vocabulary,
                                                    std::string_view word) const;
    void add_symbols(const Vocabulary& vocabulary, std::string_view word, Merger& merger) const;
    [[nodiscard]] std::optional<MergeRule> find(TokenId left, TokenId right) const;

    BpeAlphabet alphabet_ = BpeAlphabet::bytes;
    bool ignore_merges_ = false;
    std::optional<TokenId> unknown_;
    ByteTokens bytes_;
    std::vector<Merge> merges_;  // by rank
    IndexTable by_pair_;
    std::string joined_;  // scratch of add_merge
};

}  // namespace kwaai::inference
