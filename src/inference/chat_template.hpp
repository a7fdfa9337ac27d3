// Turns a conversation into the prompt text a model was trained on. Five families are recognised
// from the file's Jinja template (chatml, llama2, llama3, gemma, phi3); a general interpreter comes
// later.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "inference/model_file.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai::inference {

/// One turn: role is "system", "user" or "assistant".
struct ChatMessage {
    std::string role;
    std::string content;
};

/// The family of a template and what the family leaves open.
class ChatTemplate {
public:
    enum class Family : std::uint8_t { chatml, llama2, llama3, gemma, phi3 };

    /// From the file's template. A file without one: chatml when the vocabulary has <|im_start|>,
    /// else `Errc::not_found` ("this model has no chat template; use --raw"). An unknown one:
    /// `Errc::unsupported` with its first line. `Errc::malformed` for a tokenizer_config.json that
    /// is no JSON.
    static Result<ChatTemplate> from_model(const ModelFile& file);
    static Result<ChatTemplate> from_source(std::string_view jinja);

    [[nodiscard]] Family family() const { return family_; }

    [[nodiscard]] std::string_view name() const;

    /// The prompt up to where the assistant begins to write, to be encoded with `encode_chat`;
    /// neighbours differ in kind. What a message says is always plain text, so that nobody speaks
    /// in another's role by writing control tokens. (Llama 2 marks turns with the plain text
    /// "[INST]", which no encoding can protect.) A first BOS that a template prints is left to the
    /// tokenizer. Gemma has no system role: its text goes before the first user's.
    /// `Errc::invalid_argument` for no message, an unknown role, or an order the family cannot
    /// express.
    [[nodiscard]] Result<std::vector<PromptSegment>> render(
        std::span<const ChatMessage> messages) const;

private:
    explicit ChatTemplate(Family family) : family_(family) {}

    Family family_;
    std::string default_system_;   // chatml: what some templates say when no system message does
    std::string system_preamble_;  // llama3: what 3.1 and later put before the system text
};

/// Token ids of a rendered prompt, BOS in front where the model wants one.
[[nodiscard]] std::vector<TokenId> encode_chat(const Tokenizer& tokenizer,
                                               std::span<const PromptSegment> segments);

/// The prompt as one string, for people to read.
[[nodiscard]] std::string to_text(std::span<const PromptSegment> segments);

}  // namespace kwaai::inference
