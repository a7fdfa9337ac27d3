// The tokens of a model: spelling, kind and score by id, and the id by spelling.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "inference/index_table.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai::inference {

/// What vocabularies of SentencePiece's kind spell a space with: U+2581.
inline constexpr std::string_view kEscapedSpace = "\xe2\x96\x81";

/// With the numbers of GGUF's `tokenizer.ggml.token_type`.
enum class TokenKind : std::uint8_t {
    normal = 1,
    unknown = 2,
    control = 3,
    user_defined = 4,
    unused = 5,
    byte = 6,
};

/// All spellings in one block of memory: about 20 bytes a token with all indices.
class Vocabulary {
public:
    static constexpr std::size_t kTokensMax = std::size_t{1} << 22;
    static constexpr std::size_t kSpellingBytesMax = std::size_t{1} << 28;  // of all tokens

    Vocabulary() = default;
    /// For up to `count` tokens, at most kTokensMax.
    explicit Vocabulary(std::size_t count);

    /// Adds the token with the next id. A spelling that occurs twice is found as the later token,
    /// an empty one never. `Errc::limit_exceeded`.
    Result<void> add(std::string_view spelling, TokenKind kind);

    [[nodiscard]] std::size_t size() const { return kinds_.size(); }

    [[nodiscard]] std::string_view spelling(TokenId token) const {
        return std::string_view(arena_).substr(ends_[token], ends_[token + 1] - ends_[token]);
    }

    [[nodiscard]] TokenKind kind(TokenId token) const { return kinds_[token]; }

    void set_kind(TokenId token, TokenKind kind) { kinds_[token] = kind; }

    /// Whether plain text may become this token: a normal or user-defined one. Text never becomes a
    /// control token by merging, whatever it says.
    [[nodiscard]] bool is_plain(TokenId token) const {
        return kind(token) == TokenKind::normal || kind(token) == TokenKind::user_defined;
    }

    /// The token spelled so, of any kind.
    [[nodiscard]] std::optional<TokenId> find(std::string_view spelling) const;
    /// The token spelled so, if plain text may become it.
    [[nodiscard]] std::optional<TokenId> find_plain(std::string_view spelling) const;

    /// Bytes of the longest spelling.
    [[nodiscard]] std::size_t longest() const { return longest_; }

private:
    std::string arena_;
    std::vector<std::uint32_t> ends_{0};  // token i is arena_[ends_[i], ends_[i + 1])
    std::vector<TokenKind> kinds_;
    IndexTable by_spelling_;
    std::size_t longest_ = 0;
};

/// The byte that a spelling like "<0x0A>" stands for; nothing for any other.
[[nodiscard]] std::optional<char> byte_of_spelling(std::string_view spelling);

/// The token of each byte value, where there is one.
using ByteTokens = std::array<std::optional<TokenId>, 256>;

/// Of a vocabulary that spells bytes "<0x0A>": its tokens of kind `byte`. `Errc::malformed` with
/// the id for one that is spelled otherwise.
Result<ByteTokens> byte_tokens_of(const Vocabulary& vocabulary);

}  // namespace kwaai::inference
