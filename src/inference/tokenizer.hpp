// Text to token ids and back: SentencePiece BPE by score ("llama") and byte-level BPE ("gpt2"),
// from GGUF metadata or a Hugging Face tokenizer.json.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "inference/model_file.hpp"

namespace kwaai::inference {

using TokenId = std::uint32_t;

struct EncodeOptions {
    bool parse_special =
        false;  // control tokens in the text become their ids; user-defined ones always do
    bool add_bos = true;  // where the model wants one and the text does not begin with it
};

/// A stretch of a prompt: text of a person or a model, in which no control token is ever read, or
/// the spelling of a control token.
struct PromptSegment {
    std::string text;
    bool is_control = false;

    bool operator==(const PromptSegment&) const = default;
};

/// Immutable; safe from several threads. Special tokens are found in a text from left to right, at
/// each place the longest. Tokens that end turns or begin them, and a user-defined BOS or EOS,
/// count as control tokens whatever the file says. No Unicode normalisation is applied: a
/// tokenizer.json that asks for NFC gets the text as it is, which differs only for decomposed
/// characters. EOS is never added: prompts are there to be continued.
class Tokenizer {
public:
    /// From GGUF metadata ("tokenizer.ggml.*") or from `file.tokenizer_json`. `Errc::malformed`
    /// names the key; `unsupported` names an unknown tokenizer model or pre-tokenizer.
    static Result<Tokenizer> from_model(const ModelFile& file);

    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;
    ~Tokenizer();

    /// Any bytes are accepted; invalid UTF-8 is encoded byte by byte. Bytes for which the
    /// vocabulary has neither a token nor an unknown one are left out. Cost O(n log n).
    [[nodiscard]] std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const;
    /// A prompt of segments, BOS in front where the model wants one. Control segments are read with
    /// parse_special, others without. Where no text spells a control token, the ids are those of
    /// `encode` for the joined text with parse_special, provided that neighbours differ in kind.
    [[nodiscard]] std::vector<TokenId> encode(std::span<const PromptSegment> segments) const;

    /// The bytes a token stands for, which may be part of a character. Control and unknown tokens
    /// give nothing unless `render_special`, nor does an id that is out of range. SentencePiece:
    /// the leading space belongs to the token; `decode` drops the one that encoding added.
    [[nodiscard]] std::string piece(TokenId token, bool render_special = false) const;
    /// All tokens to text.
    [[nodiscard]] std::string decode(std::span<const TokenId> tokens,
                                     bool render_special = false) const;

    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] std::optional<TokenId> bos() const;
    [[nodiscard]] std::optional<TokenId> eos() const;
    /// Whether the model wants BOS before a text; then there is one.
    [[nodiscard]] bool add_bos() const;
    /// Whether encoding puts a space before a text, which `decode` drops from its beginning.
    [[nodiscard]] bool add_space_prefix() const;
    /// Whether generation ends at this token: eos, eot, eom and the well-known names of such
    /// tokens.
    [[nodiscard]] bool is_end(TokenId token) const;
    /// The id of a token by its exact text (special or not).
    [[nodiscard]] std::optional<TokenId> find(std::string_view text) const;
    /// The text of a token as the vocabulary spells it.
    [[nodiscard]] std::string_view spelling(TokenId token) const;
    /// "llama (SentencePiece)", "gpt2 / smollm", ...
    [[nodiscard]] std::string description() const;

    struct Impl;

private:
    explicit Tokenizer(std::unique_ptr<Impl> impl);
    std::unique_ptr<const Impl> impl_;
};

}  // namespace kwaai::inference
