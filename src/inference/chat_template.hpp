// Turns a conversation into the prompt text a model was trained on. Five families are recognised
// from the file's Jinja template (chatml, llama2, llama3, gemma, phi3); a general interpreter comes
// later.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "inference/model_file.hpp"

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
    /// `Errc::unsupported` with its first line.
    static Result<ChatTemplate> from_model(const ModelFile& file);
    static Result<ChatTemplate> from_source(std::string_view jinja);

    [[nodiscard]] Family family() const { return family_; }

    [[nodiscard]] std::string_view name() const;

    /// The prompt up to where the assistant begins to write, to be encoded with parse_special and
    /// add_bos as the tokenizer wants (templates that print the bos token themselves do not print
    /// it here). `Errc::invalid_argument` for an unknown role or an order the family cannot
    /// express.
    [[nodiscard]] Result<std::string> render(std::span<const ChatMessage> messages) const;

private:
    explicit ChatTemplate(Family family) : family_(family) {}

    Family family_;
    std::string default_system_;  // some chatml templates print one when the conversation has none
                                  // (SmolLM2)
};

}  // namespace kwaai::inference
