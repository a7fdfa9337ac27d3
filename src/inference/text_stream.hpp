// Tokens to text as it is written: holds back incomplete characters and anything that may become a
// stop string.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "inference/tokenizer.hpp"

namespace kwaai::inference {

/// Where the tokens of a stream stand: at the beginning of a text, where the space that
/// SentencePiece puts before it is dropped as `Tokenizer::decode` does, or after a text that they
/// continue.
enum class TextStart : std::uint8_t { beginning, continuation };

/// The text of one answer. Bytes come out only as whole UTF-8 characters, invalid ones as U+FFFD; a
/// stop string ends the text before it, the one that is complete first, of those the longest. All
/// that comes out together is what `Tokenizer::decode` gives for the tokens, up to a stop.
class TextStream {
public:
    /// `tokenizer` must outlive the stream. Empty stop strings are ignored.
    TextStream(const Tokenizer& tokenizer,
               std::vector<std::string> stops,
               TextStart start = TextStart::beginning);

    /// Adds a token and returns the text that is now certain; may be empty. Nothing after a stop.
    [[nodiscard]] std::string push(TokenId token);
    /// What was held back, once no more tokens come: an incomplete character becomes U+FFFD. Empty
    /// after a stop.
    [[nodiscard]] std::string finish();

    [[nodiscard]] bool is_stopped() const { return is_stopped_; }

private:
    [[nodiscard]] std::string release(bool is_last);

    const Tokenizer& tokenizer_;
    std::vector<std::string> stops_;
    std::string held_;
    bool drops_space_;  // the next byte is dropped where it is a space
    bool is_stopped_ = false;
};

}  // namespace kwaai::inference
