// OpenAI's routes over HTTP: chat completions, completions, models; and health.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "api/openai_response.hpp"
#include "api/routing.hpp"
#include "base/random.hpp"
#include "engine/text_model.hpp"
#include "http/exchange.hpp"
#include "io/loop.hpp"
#include "io/offload.hpp"

namespace kwaai::api {

class AnswerInbox;

/// What the routes take from their surroundings.
struct OpenaiOptions {
    std::string fingerprint;                     // see AnswerHead
    std::uint64_t random_seed = 0;               // of ids, and of answers that name no seed
    std::function<std::int64_t()> unix_seconds;  // the time of day
};

/// Answers with the texts of one model. Confined to the loop's thread; bodies are parsed and
/// tokenized on `work`. All references outlive it.
class OpenaiRoutes final : public http::Handler {
public:
    struct Surroundings {
        engine::TextModel& model;
        io::Loop& loop;
        io::WorkQueue& work;
    };

    OpenaiRoutes(Surroundings surroundings, OpenaiOptions options);

    io::Task<void> handle(const http::Request& request, http::Exchange& exchange) override;

private:
    io::Task<void> answer_request(Endpoint endpoint,
                                  const http::Request& request,
                                  http::Exchange& exchange);
    io::Task<void> answer_whole(StreamWriter::Kind kind,
                                AnswerInbox& inbox,
                                http::Exchange& exchange);
    io::Task<void> answer_stream(StreamWriter writer, AnswerInbox& inbox, http::Exchange& exchange);
    io::Task<void> show_model(const std::string& id, http::Exchange& exchange);
    io::Task<void> show_health(http::Exchange& exchange);
    [[nodiscard]] AnswerHead new_head(StreamWriter::Kind kind);

    engine::TextModel& model_;
    io::Loop& loop_;
    io::WorkQueue& work_;
    OpenaiOptions options_;
    CounterRandom random_;
    std::int64_t started_;  // unix seconds; "created" of the model
};

}  // namespace kwaai::api
