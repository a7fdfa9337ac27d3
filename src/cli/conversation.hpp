// A chat with its history, as the tokens that the model continues.
#pragma once
#include <string>
#include <vector>

#include "base/result.hpp"
#include "engine/text_model.hpp"

namespace kwaai::cli {

/// The turns so far. A question becomes part of the history only with its answer.
class Conversation {
public:
    /// `system` may be empty: then the template's own default speaks.
    explicit Conversation(std::string system);

    /// The prompt of history and `question`. Errors of the model's chat template.
    Result<std::vector<inference::TokenId>> prompt(const engine::TextModel& model,
                                                   const std::string& question) const;
    void add_turn(std::string question, std::string answer);
    /// Forgets everything but the system message.
    void reset();

private:
    std::string system_;
    std::vector<inference::ChatMessage> messages_;
};

}  // namespace kwaai::cli
