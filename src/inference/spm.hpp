// SentencePiece's BPE: neighbours merge when together they are a token, best score first.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "inference/merge.hpp"
#include "inference/vocabulary.hpp"

namespace kwaai::inference {

/// The scores of a vocabulary, ready for merging.
class SpmModel {
public:
    SpmModel() = default;
    /// `scores` has one finite value for each token. `Errc::malformed` for a byte token that is
    /// spelled wrongly.
    static Result<SpmModel> make(const Vocabulary& vocabulary, std::span<const double> scores);

    /// The token for what nothing else stands for. Without it such characters are left out.
    void set_unknown(std::optional<TokenId> unknown) { unknown_ = unknown; }

    /// Appends the tokens of `text`, less than 4 GiB, in which spaces are already U+2581, to `out`.
    /// Characters that are no token become byte tokens. O(n log n).
    void encode(const Vocabulary& vocabulary,
                std::string_view text,
                Merger& merger,
                std::vector<TokenId>& out) const;

private:
    void encode_part(const Vocabulary& vocabulary,
                     std::string_view part,
                     Merger& merger,
                     std::vector<TokenId>& out) const;

    std::vector<std::uint32_t> ranks_;  // by token; the better the score the lower
    ByteTokens bytes_;
    std::optional<TokenId> unknown_;
    bool has_words_ = true;  // no token has U+2581 after another character
};

}  // namespace kwaai::inference
