// Tokens to text as it is written: holds back incomplete characters and anything that may become a
// stop string.
#pragma once
#include <string>
#include <vector>

#include "inference/tokenizer.hpp"

namespace kwaai::inference {

/// The text of one answer. Bytes come out only as whole UTF-8 characters; a stop string ends the
/// text before it.
class TextStream {
public:
    TextStream(const Tokenizer& tokenizer, std::vector<std::string> stops);

    /// Adds a token and returns the text that is now certain; may be empty.
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
    bool is_first_ = true;
    bool is_stopped_ = false;
};

}  // namespace kwaai::inference
