// A tokenizer.json that may be anything: refused, or a tokenizer that takes and gives text. What
// follows a NUL is taken for tokenizer_config.json, and for the chat template in it.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "inference/chat_template.hpp"
#include "inference/tokenizer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kwaai::inference;
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::size_t json_size = std::min(input.find('\0'), input.size());
    ModelFile file;
    file.tokenizer_json = input.substr(0, json_size);
    file.tokenizer_config_json = input.substr(std::min(json_size + 1, input.size()));
    if (const auto tokenizer = Tokenizer::from_model(file)) {
        const auto ids =
            tokenizer->encode("Hello, w\u00f6rld 123\n<s></s>", {.parse_special = true});
        for (const TokenId id : ids)
            KWAAI_CHECK(id < tokenizer->size(), "ids are in the vocabulary");
        static_cast<void>(tokenizer->decode(ids, true));
    }
    const ChatMessage messages[] = {{"system", "Be brief."}, {"user", "Hello"}};
    if (const auto chat = ChatTemplate::from_model(file)) static_cast<void>(chat->render(messages));
    return 0;
}
