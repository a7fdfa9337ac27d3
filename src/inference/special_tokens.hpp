// Finds special tokens in raw text, before any other step of tokenizing.
#pragma once
#include <array>
#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "inference/vocabulary.hpp"

namespace kwaai::inference {

/// Makes control tokens of those whose names say so, such as <|im_end|> or <start_of_turn>: some
/// files call them user-defined or normal, and then the text of a message could end its turn.
void mark_turn_tokens(Vocabulary& vocabulary);

/// The tokens whose names say that generation ends with them.
[[nodiscard]] std::vector<TokenId> well_known_end_tokens(const Vocabulary& vocabulary);

/// A set of special tokens of one vocabulary. Leftmost match, the longest of those that begin at
/// the same place.
class SpecialMatcher {
public:
    static constexpr std::size_t kSpellingBytesMax = 512;

    /// A token found at [begin, end) of the text; begin is npos where there is none.
    struct Match {
        std::size_t begin = std::string_view::npos;
        std::size_t end = 0;
        TokenId token = 0;
    };

    SpecialMatcher() = default;
    /// User-defined tokens, and `with_control` also control and unknown ones. Those longer than
    /// kSpellingBytesMax are never found.
    SpecialMatcher(const Vocabulary& vocabulary, bool with_control);

    /// The first special token in `text` at or after `from`.
    [[nodiscard]] Match find(const Vocabulary& vocabulary,
                             std::string_view text,
                             std::size_t from) const;

private:
    [[nodiscard]] bool is_member(TokenKind kind) const;

    bool with_control_ = false;
    std::array<std::vector<std::uint16_t>, 256> sizes_;  // by first byte, longest first
    std::bitset<65536> starts_;  // the first two bytes of a token, so that few places are looked at
};

}  // namespace kwaai::inference
