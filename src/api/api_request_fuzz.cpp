// Bodies of both POST routes. Whatever is accepted keeps the promises of the structs.
#include <cstddef>
#include <cstdint>

#include "api/openai_request.hpp"
#include "base/check.hpp"
#include "base/utf8.hpp"

namespace {

void check_options(const kwaai::api::WritingOptions& options) {
    KWAAI_CHECK(options.sampling.validate().has_value(), "accepted sampling options are valid");
    KWAAI_CHECK(options.stops.size() <= kwaai::api::RequestLimits().stops_max, "few stops");
    for (const std::string& stop : options.stops)
        KWAAI_CHECK(!stop.empty() && kwaai::is_utf8(stop), "stops are UTF-8, and some");
}

void check_error(const kwaai::api::ApiError& error) {
    KWAAI_CHECK(error.status == 400 && !error.message.empty(), "a refusal says why");
    KWAAI_CHECK(kwaai::is_utf8(kwaai::api::error_body(error)), "bodies are UTF-8");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view body(reinterpret_cast<const char*>(data), size);
    if (const auto chat = kwaai::api::parse_chat_request(body); chat) {
        check_options(chat->options);
        KWAAI_CHECK(!chat->messages.empty(), "a chat has messages");
        for (const auto& message : chat->messages)
            KWAAI_CHECK(kwaai::is_utf8(message.content), "messages are UTF-8");
    } else {
        check_error(chat.error());
    }
    if (const auto completion = kwaai::api::parse_completion_request(body); completion)
        check_options(completion->options);
    else
        check_error(completion.error());
    return 0;
}
