#include "cli/conversation.hpp"

namespace kwaai::cli {

Conversation::Conversation(std::string system) : system_(std::move(system)) {
    reset();
}

Result<std::vector<inference::TokenId>> Conversation::prompt(const engine::TextModel& model,
                                                             const std::string& question) const {
    const auto& chat = model.chat_template();
    if (!chat) return std::unexpected(chat.error());
    std::vector<inference::ChatMessage> messages = messages_;
    messages.push_back({.role = "user", .content = question});
    KWAAI_TRY(const auto segments, chat->render(messages));
    return inference::encode_chat(model.tokenizer(), segments);
}

void Conversation::add_turn(std::string question, std::string answer) {
    messages_.push_back({.role = "user", .content = std::move(question)});
    messages_.push_back({.role = "assistant", .content = std::move(answer)});
}

void Conversation::reset() {
    messages_.clear();
    if (!system_.empty()) messages_.push_back({.role = "system", .content = system_});
}

}  // namespace kwaai::cli
