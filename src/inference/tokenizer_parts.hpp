// What a tokenizer is made of, and the two readers that fill it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "inference/bpe.hpp"
#include "inference/model_file.hpp"
#include "inference/pre_tokenizer.hpp"
#include "inference/spm.hpp"
#include "inference/vocabulary.hpp"

namespace kwaai::inference {

/// Where a space is put before text.
enum class SpacePrefix : std::uint8_t {
    none,
    first,  ///< before what stands at the very beginning
    every,  ///< also before what follows a special token
};

/// Texts that Hugging Face's tokenizers and SentencePiece call normalisation: how spaces are
/// spelled. Byte-level BPE does nothing of it.
struct SpaceRules {
    bool is_escaped = false;  // spaces become U+2581
    SpacePrefix prefix = SpacePrefix::none;
    bool is_prefix_conditional = false;  // none where the text begins with a space already
    bool is_split = false;               // each U+2581 begins a word of its own
};

struct TokenizerParts {
    Vocabulary vocabulary;
    std::variant<SpmModel, BpeModel> model;
    std::optional<PreTokenizer> pre_tokenizer;  // of byte-level BPE
    SpaceRules spaces;
    std::optional<TokenId> bos;
    std::optional<TokenId> eos;
    bool add_bos = false;
    std::vector<TokenId> ends;          // besides eos and those of well-known names
    std::vector<TokenId> strips_left;   // special tokens that take the white space before them
    std::vector<TokenId> strips_right;  // ... and after them
    std::string description;
};

/// From "tokenizer.ggml.*". Errors as `Tokenizer::from_model`.
Result<TokenizerParts> read_gguf_tokenizer(const Metadata& metadata);

/// From tokenizer.json; `tokenizer_config_json` and `config_json`, where not empty, say which
/// tokens are BOS and EOS. `Errc::malformed` names the place in the document; `unsupported` a kind
/// of model, normaliser, pre-tokenizer or pattern.
Result<TokenizerParts> read_hf_tokenizer(std::string_view tokenizer_json,
                                         std::string_view tokenizer_config_json,
                                         std::string_view config_json);

}  // namespace kwaai::inference
