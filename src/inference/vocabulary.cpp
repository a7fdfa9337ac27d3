#include "inference/vocabulary.hpp"

#include <algorithm>
#include <functional>

#include "base/check.hpp"

namespace kwaai::inference {
namespace {

// The value of a hexadecimal digit, or nothing.
std::optional<std::size_t> hex_digit(char digit) {
    const std::size_t value = std::string_view("0123456789ABCDEFabcdef").find(digit);
    if (value == std::string_view::npos) return std::nullopt;
    return value < 16 ? value : value - 6;
}

}  // namespace

Vocabulary::Vocabulary(std::size_t count) : by_spelling_(count) {
    KWAAI_CHECK(count <= kTokensMax, "the caller checks the number of tokens");
    ends_.reserve(count + 1);
    kinds_.reserve(count);
}

Result<void> Vocabulary::add(std::string_view spelling, TokenKind kind) {
    if (spelling.size() > kSpellingBytesMax - arena_.size())
        return fail(Errc::limit_exceeded,
                    "the spellings of the tokens take more than " +
                        std::to_string(kSpellingBytesMax) + " bytes");
    KWAAI_CHECK(size() < kinds_.capacity(), "more tokens than were announced");
    const auto token = static_cast<TokenId>(size());
    arena_ += spelling;
    ends_.push_back(static_cast<std::uint32_t>(arena_.size()));
    kinds_.push_back(kind);
    longest_ = std::max(longest_, spelling.size());
    if (!spelling.empty())
        by_spelling_.assign(std::hash<std::string_view>()(spelling), token, [&](TokenId other) {
            return this->spelling(other) == spelling;
        });
    return {};
}

std::optional<TokenId> Vocabulary::find(std::string_view spelling) const {
    if (spelling.size() > longest_) return std::nullopt;
    const std::uint32_t token =
        by_spelling_.find(std::hash<std::string_view>()(spelling),
                          [&](TokenId other) { return this->spelling(other) == spelling; });
    if (token == IndexTable::kNone) return std::nullopt;
    return token;
}

std::optional<TokenId> Vocabulary::find_plain(std::string_view spelling) const {
    const auto token = find(spelling);
    return token && is_plain(*token) ? token : std::nullopt;
}

std::optional<char> byte_of_spelling(std::string_view spelling) {
    if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling[5] != '>')
        return std::nullopt;
    const auto high = hex_digit(spelling[3]);
    const auto low = hex_digit(spelling[4]);
    if (!high || !low) return std::nullopt;
    return static_cast<char>(*high * 16 + *low);
}

Result<ByteTokens> byte_tokens_of(const Vocabulary& vocabulary) {
    ByteTokens tokens;
    for (TokenId token = 0; token < vocabulary.size(); ++token) {
        if (vocabulary.kind(token) != TokenKind::byte) continue;
        const auto byte = byte_of_spelling(vocabulary.spelling(token));
        if (!byte)
            return fail(Errc::malformed,
                        "token " + std::to_string(token) + " is a byte but spelled \"" +
                            std::string(vocabulary.spelling(token)) + "\", not like \"<0x0A>\"");
        tokens[static_cast<unsigned char>(*byte)] = token;
    }
    return tokens;
}

}  // namespace kwaai::inference
