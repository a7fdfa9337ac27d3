#include "api/openai_response.hpp"

#include <doctest/doctest.h>

#include "api/api_error.hpp"
#include "api/generation_job.hpp"

namespace kwaai::api {
namespace {

const AnswerHead kHead{.id = "chatcmpl-1", .created = 1700000000, .model = "m", .fingerprint = "f"};
const engine::RequestStats kStats{.prompt_tokens = 3, .completion_tokens = 2};

TEST_CASE("a chat answer has OpenAI's shape") {
    const WholeAnswer answer{.text = "Hé\n", .finish = engine::FinishReason::stop, .stats = kStats};
    CHECK(chat_answer(kHead, answer) ==
          R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m",)"
          R"("system_fingerprint":"f","choices":[{"index":0,"message":{"role":"assistant",)"
          R"("content":"Hé\n"},"logprobs":null,"finish_reason":"stop"}],)"
          R"("usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}})");
}

TEST_CASE("a completion has OpenAI's shape") {
    const WholeAnswer answer{.text = "x", .finish = engine::FinishReason::length, .stats = kStats};
    CHECK(completion_answer(kHead, answer) ==
          R"({"id":"chatcmpl-1","object":"text_completion","created":1700000000,"model":"m",)"
          R"("system_fingerprint":"f","choices":[{"index":0,"text":"x","logprobs":null,)"
          R"("finish_reason":"length"}],)"
          R"("usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}})");
}

TEST_CASE("a chat stream is role, text, finish, and the end mark") {
    const StreamWriter writer(StreamWriter::Kind::chat, kHead, false);
    const std::string head =
        R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,)"
        R"("model":"m","system_fingerprint":"f","choices":[{"index":0,"delta":)";
    CHECK(writer.begin() ==
          head + R"({"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})" +
              "\n\n");
    CHECK(writer.text("a\nb") ==
          head + R"({"content":"a\nb"},"logprobs":null,"finish_reason":null}]})" + "\n\n");
    CHECK(writer.text("").empty());
    CHECK(writer.end(engine::FinishReason::stop, kStats) ==
          head + R"({},"logprobs":null,"finish_reason":"stop"}]})" + "\n\ndata: [DONE]\n\n");
}

TEST_CASE("a stream with usage says null until its last chunk, which has no choices") {
    const StreamWriter writer(StreamWriter::Kind::completion, kHead, true);
    CHECK(writer.begin().empty());
    const std::string head =
        R"(data: {"id":"chatcmpl-1","object":"text_completion","created":1700000000,)"
        R"("model":"m","system_fingerprint":"f","choices":[)";
    CHECK(writer.text("a") ==
          head + R"({"index":0,"text":"a","logprobs":null,"finish_reason":null}],"usage":null})" +
              "\n\n");
    CHECK(writer.end(engine::FinishReason::length, kStats) ==
          head +
              R"({"index":0,"text":"","logprobs":null,"finish_reason":"length"}],"usage":null})" +
              "\n\n" + head +
              R"(],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}})" +
              "\n\ndata: [DONE]\n\n");
}

TEST_CASE("an event is one line, so that no text can break out of it") {
    const StreamWriter writer(StreamWriter::Kind::chat, kHead, false);
    const std::string event = writer.text("x\n\ndata: [DONE]\r\n\n\xff");
    CHECK(event.find('\n') == event.size() - 2);
    CHECK(event.find('\r') == std::string::npos);
    CHECK(event.find("\uFFFD") != std::string::npos);
}

TEST_CASE("models are listed as OpenAI lists them") {
    CHECK(
        model_list("m", 5) ==
        R"({"object":"list","data":[{"id":"m","object":"model","created":5,"owned_by":"kwaai"}]})");
    CHECK(model_object("m", 5) == R"({"id":"m","object":"model","created":5,"owned_by":"kwaai"})");
}

TEST_CASE("an error body has all four members") {
    CHECK(
        error_body({.status = 400, .message = "no", .code = {}, .param = "stop"}) ==
        R"({"error":{"message":"no","type":"invalid_request_error","code":null,"param":"stop"}})");
    CHECK(error_body({.status = 503, .message = "later", .code = "c", .param = {}}) ==
          R"({"error":{"message":"later","type":"unavailable_error","code":"c","param":null}})");
    CHECK(
        error_body({.status = 500, .message = "", .code = {}, .param = {}}).find("server_error") !=
        std::string::npos);
}

TEST_CASE("statuses blame the client, the route, the load or us") {
    CHECK(http_status(Errc::invalid_argument) == 400);
    CHECK(http_status(Errc::malformed) == 400);
    CHECK(http_status(Errc::unsupported) == 400);
    CHECK(http_status(Errc::limit_exceeded) == 400);
    CHECK(http_status(Errc::not_found) == 404);
    CHECK(http_status(Errc::unavailable) == 503);
    CHECK(http_status(Errc::timed_out) == 504);
    CHECK(http_status(Errc::io) == 500);
}

TEST_CASE("a prompt that is too long has the code that clients look for") {
    const ApiError error =
        submit_error({Errc::limit_exceeded, "too long"}, StreamWriter::Kind::completion);
    CHECK(error.status == 400);
    CHECK(error.code == "context_length_exceeded");
    CHECK(error.param == "prompt");
    CHECK(submit_error({Errc::unavailable, "full"}, StreamWriter::Kind::chat).status == 503);
}

}  // namespace
}  // namespace kwaai::api
