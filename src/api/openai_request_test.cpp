#include "api/openai_request.hpp"

#include <doctest/doctest.h>

namespace kwaai::api {
namespace {

/// A chat body with `fields` beside a valid message.
std::string chat_with(std::string_view fields) {
    return R"({"messages":[{"role":"user","content":"Hi"}],)" + std::string(fields) + "}";
}

WritingOptions options_of(std::string_view fields) {
    const auto parsed = parse_chat_request(chat_with(fields));
    REQUIRE_MESSAGE(parsed.has_value(), parsed.error().message);
    return parsed->options;
}

ApiError chat_error(std::string_view body) {
    const auto parsed = parse_chat_request(body);
    REQUIRE(!parsed.has_value());
    CHECK(parsed.error().status == 400);
    return parsed.error();
}

/// The field that a body with `fields` is refused for.
std::string refused(std::string_view fields) {
    return chat_error(chat_with(fields)).param;
}

ApiError prompt_error(std::string_view prompt) {
    const auto parsed = parse_completion_request(R"({"prompt":)" + std::string(prompt) + "}");
    REQUIRE(!parsed.has_value());
    CHECK(parsed.error().status == 400);
    return parsed.error();
}

TEST_CASE("every field of a chat request is read") {
    const auto parsed = parse_chat_request(R"({
        "model": "anything", "user": "u", "unknown": {"x": 1},
        "messages": [{"role": "system", "content": "Be brief."},
                     {"role": "user", "content": [{"type": "text", "text": "H"},
                                                  {"type": "text", "text": "é"}]},
                     {"role": "assistant", "content": "Yes?"}],
        "stream": true, "stream_options": {"include_usage": true},
        "max_tokens": 7, "max_completion_tokens": 9,
        "temperature": 0.5, "top_p": 0.25, "top_k": 3, "min_p": 0.125, "repeat_penalty": 1.5,
        "frequency_penalty": -0.5, "presence_penalty": 2, "stop": ["a", "b"], "seed": 42,
        "n": 1, "tools": [], "logprobs": false, "response_format": {"type": "text"}})");
    REQUIRE_MESSAGE(parsed.has_value(), parsed.error().message);
    REQUIRE(parsed->messages.size() == 3);
    CHECK(parsed->messages[0].role == "system");
    CHECK(parsed->messages[1].content == "Hé");
    CHECK(parsed->messages[2].content == "Yes?");
    const WritingOptions& options = parsed->options;
    CHECK(options.is_stream);
    CHECK(options.includes_usage);
    CHECK(options.max_tokens == 9);
    CHECK(options.sampling.temperature == 0.5F);
    CHECK(options.sampling.top_p == 0.25F);
    CHECK(options.sampling.top_k == 3);
    CHECK(options.sampling.min_p == 0.125F);
    CHECK(options.sampling.repeat_penalty == 1.5F);
    CHECK(options.sampling.frequency_penalty == -0.5F);
    CHECK(options.sampling.presence_penalty == 2);
    CHECK(options.stops == std::vector<std::string>{"a", "b"});
    CHECK(options.seed == 42);
}

TEST_CASE("fields left out or null have their defaults") {
    const WritingOptions options =
        options_of(R"("temperature":null,"stop":null,"seed":null,"max_tokens":null,"n":null,)"
                   R"("stream":null,"stream_options":null,"logprobs":null,"tools":null)");
    const inference::SamplingOptions defaults;
    CHECK(options.sampling.temperature == defaults.temperature);
    CHECK(options.sampling.top_k == defaults.top_k);
    CHECK(options.max_tokens == 0);
    CHECK(options.stops.empty());
    CHECK(!options.seed);
    CHECK(!options.is_stream);
    const auto completion = parse_completion_request(R"({"prompt":"x"})");
    REQUIRE(completion.has_value());
    CHECK(completion->options.max_tokens == 16);
}

TEST_CASE("a value out of range is refused by the name of its field") {
    CHECK(refused(R"("temperature":-0.1)") == "temperature");
    CHECK(refused(R"("temperature":"hot")") == "temperature");
    CHECK(refused(R"("top_p":1.5)") == "top_p");
    CHECK(refused(R"("min_p":-1)") == "min_p");
    CHECK(refused(R"("top_k":-2)") == "top_k");
    CHECK(refused(R"("top_k":1.5)") == "top_k");
    CHECK(refused(R"("repeat_penalty":0)") == "repeat_penalty");
    CHECK(refused(R"("frequency_penalty":3)") == "frequency_penalty");
    CHECK(refused(R"("presence_penalty":-3)") == "presence_penalty");
    CHECK(refused(R"("max_tokens":0)") == "max_tokens");
    CHECK(refused(R"("max_tokens":-1)") == "max_tokens");
    CHECK(refused(R"("max_completion_tokens":4294967296)") == "max_completion_tokens");
    CHECK(refused(R"("seed":"x")") == "seed");
    CHECK(refused(R"("stream":1)") == "stream");
}

TEST_CASE("0 and -1 keep all tokens, and any 64 bits are a seed") {
    CHECK(options_of(R"("top_k":0)").sampling.top_k == 0);
    CHECK(options_of(R"("top_k":-1)").sampling.top_k == 0);
    CHECK(options_of(R"("seed":-1)").seed == 0xFFFFFFFFFFFFFFFFU);
    CHECK(options_of(R"("seed":18446744073709551615)").seed == 0xFFFFFFFFFFFFFFFFU);
}

TEST_CASE("stop strings are some, few, short and not empty") {
    CHECK(options_of(R"("stop":"\n")").stops == std::vector<std::string>{"\n"});
    CHECK(options_of(R"("stop":[])").stops.empty());
    CHECK(refused(R"("stop":"")") == "stop");
    CHECK(refused(R"("stop":["a",""])") == "stop");
    CHECK(refused(R"("stop":["a",1])") == "stop");
    CHECK(refused(R"("stop":{})") == "stop");
    CHECK(refused("\"stop\":\"" + std::string(1025, 'x') + "\"") == "stop");
    std::string many = R"("stop":["x")";
    for (int i = 0; i < 15; ++i)
        many += R"(,"x")";
    CHECK(options_of(many + "]").stops.size() == 16);
    CHECK(refused(many + R"(,"x"])") == "stop");
}

TEST_CASE("usage is told only in streams") {
    CHECK(refused(R"("stream_options":{"include_usage":true})") == "stream_options");
    CHECK(refused(R"("stream":true,"stream_options":true)") == "stream_options");
    CHECK(refused(R"("stream":true,"stream_options":{"include_usage":1})") == "stream_options");
    CHECK(!options_of(R"("stream":true,"stream_options":{})").includes_usage);
}

TEST_CASE("what would change the answer and is not supported is refused by name") {
    CHECK(refused(R"("n":2)") == "n");
    CHECK(refused(R"("logprobs":true)") == "logprobs");
    CHECK(refused(R"("logprobs":0)") == "logprobs");
    CHECK(refused(R"("top_logprobs":2)") == "top_logprobs");
    CHECK(refused(R"("logit_bias":{"5":1})") == "logit_bias");
    CHECK(refused(R"("tools":[{"type":"function"}])") == "tools");
    CHECK(refused(R"("functions":[{}])") == "functions");
    CHECK(refused(R"("response_format":{"type":"json_object"})") == "response_format");
    CHECK(refused(R"("response_format":"text")") == "response_format");
    const auto echo = parse_completion_request(R"({"prompt":"x","echo":true})");
    REQUIRE(!echo.has_value());
    CHECK(echo.error().param == "echo");
}

TEST_CASE("messages are checked and the message at fault is named") {
    const auto messages_error = [](std::string_view messages) {
        const ApiError error = chat_error(R"({"messages":)" + std::string(messages) + "}");
        CHECK(error.param == "messages");
        return error.message;
    };
    const auto has = [](const std::string& text, std::string_view part) {
        return text.find(part) != std::string::npos;
    };
    CHECK(chat_error("{}").param == "messages");
    CHECK(has(messages_error("[]"), "at least one"));
    CHECK(has(messages_error(R"("Hi")"), "expected an array"));
    CHECK(has(messages_error(R"([{"role":"user"}])"), "content"));
    CHECK(has(messages_error(R"([{"content":"x"}])"), "role"));
    CHECK(has(messages_error(R"([{"role":"user","content":"x"},{"role":"king","content":"x"}])"),
              "messages[1].role"));
    CHECK(has(messages_error(R"([{"role":"tool","content":"x"}])"), "tools are not supported"));
    CHECK(has(messages_error(R"([{"role":"user","content":null}])"), "messages[0].content"));
    CHECK(has(messages_error(R"([{"role":"user","content":7}])"), "messages[0].content"));
    CHECK(has(messages_error(R"([{"role":"user","content":[{"type":"image_url"}]}])"),
              "messages[0].content[0].type"));
    CHECK(has(messages_error(R"([{"role":"assistant","content":null,"tool_calls":[{}]}])"),
              "tools are not supported"));
}

TEST_CASE("OpenAI's newer word for system is understood") {
    const auto parsed =
        parse_chat_request(R"({"messages":[{"role":"developer","content":"Be brief."}]})");
    REQUIRE(parsed.has_value());
    CHECK(parsed->messages[0].role == "system");
}

TEST_CASE("a prompt is a text, one text in an array, or token ids") {
    const auto parsed = [](std::string_view prompt) {
        const auto request = parse_completion_request(R"({"prompt":)" + std::string(prompt) + "}");
        REQUIRE_MESSAGE(request.has_value(), request.error().message);
        return request->prompt;
    };
    using Ids = std::vector<inference::TokenId>;
    CHECK(std::get<std::string>(parsed(R"("Once")")) == "Once");
    CHECK(std::get<std::string>(parsed(R"(["Once"])")) == "Once");
    CHECK(std::get<Ids>(parsed("[1,2]")) == Ids{1, 2});
    CHECK(std::get<Ids>(parsed("[[1,2]]")) == Ids{1, 2});
    CHECK(prompt_error("[]").param == "prompt");
    CHECK(prompt_error("[[]]").param == "prompt");
    CHECK(prompt_error(R"(["a","b"])").message.find("only one prompt") != std::string::npos);
    CHECK(prompt_error("[1,-2]").param == "prompt");
    CHECK(prompt_error("[4294967296]").param == "prompt");
    CHECK(prompt_error(R"([1,"a"])").param == "prompt");
    CHECK(prompt_error("{}").param == "prompt");
    CHECK(prompt_error("null").param == "prompt");
}

TEST_CASE("a body that is no JSON object is refused in one sentence") {
    CHECK(chat_error("").message.find("not the JSON of a request") != std::string::npos);
    CHECK(chat_error("{").param.empty());
    CHECK(chat_error("[]").message.find("object") != std::string::npos);
    CHECK(!chat_error("{\"messages\":\"\xff\"}").message.empty());
    CHECK(!chat_error(R"({"n":1,"n":1})").message.empty());
    CHECK(!chat_error(std::string(100, '[')).message.empty());
}

TEST_CASE("limits on messages are those that are passed") {
    const std::string body =
        R"({"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]})";
    CHECK(parse_chat_request(body, {.messages_max = 2}).has_value());
    CHECK(!parse_chat_request(body, {.messages_max = 1}).has_value());
}

}  // namespace
}  // namespace kwaai::api
