// Cuts text into the words that byte-level BPE works on. Each way of cutting is written by hand
// over code-point classes: linear time, no regular-expression engine.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/function_ref.hpp"

namespace kwaai::inference {

/// A way of cutting. The patterns are in pre_tokenizer.cpp beside the code that matches them.
enum class PreTokenizer : std::uint8_t {
    gpt2,            ///< gpt-2, mpt, olmo, phi-2, ...
    llama3,          ///< llama-bpe, dbrx, smaug-bpe, ...: up to three digits a word
    qwen2,           ///< qwen2, stablelm2, ...: as llama3, one digit a word
    digits_gpt2,     ///< smollm, starcoder, refact, command-r, ...: single digits, then gpt2
    falcon,          ///< runs of punctuation, then gpt2, then three ASCII digits
    deepseek_llm,    ///< line ends, cased letters, punctuation, CJK
    deepseek_coder,  ///< line ends, letters, punctuation, CJK, single digits
    fallback,        ///< "default" or no name at all
};

/// By the value of `tokenizer.ggml.pre`; nothing for a name that is not known.
[[nodiscard]] std::optional<PreTokenizer> pre_tokenizer_named(std::string_view name);

/// Whether `name` is of Llama 3's own family, whose tokenizers take a whole word that is a token
/// before they merge, and begin with BOS unless the file says otherwise.
[[nodiscard]] bool is_llama3_family(std::string_view name);

/// Calls `emit` with the words of `text` in order; together they are `text`. A byte that is not
/// UTF-8 counts as one character of no class.
void split_words(PreTokenizer how,
                 std::string_view text,
                 FunctionRef<void(std::string_view word)> emit);

}  // namespace kwaai::inference
