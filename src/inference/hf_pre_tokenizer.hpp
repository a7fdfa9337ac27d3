// Recognises the normaliser and the pre-tokenizer of a Hugging Face tokenizer.json as ways of
// cutting that this build has.
#pragma once
#include <optional>

#include "base/result.hpp"
#include "inference/tokenizer_parts.hpp"
#include "json/document.hpp"

namespace kwaai::inference {

/// How text is cut and how spaces are spelled. Without a pre-tokenizer the model works on
/// characters, with one on bytes.
struct HfTextRules {
    std::optional<PreTokenizer> pre_tokenizer;
    SpaceRules spaces;
};

/// From the root of the document. `Errc::malformed` names the place, `unsupported` the type or the
/// pattern.
Result<HfTextRules> read_text_rules(json::Value root);

}  // namespace kwaai::inference
