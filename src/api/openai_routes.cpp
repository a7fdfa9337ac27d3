#include "api/openai_routes.hpp"

#include "api/answer_inbox.hpp"
#include "api/generation_job.hpp"
#include "json/writer.hpp"

namespace kwaai::api {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kEventStream = "text/event-stream; charset=utf-8";

/// Pages of any origin may ask: there are no credentials that they could borrow.
http::Headers open_to_all() {
    http::Headers headers;
    headers.add("Access-Control-Allow-Origin", "*");
    return headers;
}

http::Headers preflight_headers(const std::string& allow) {
    http::Headers headers = open_to_all();
    headers.add("Allow", allow.empty() ? "GET, HEAD, POST, OPTIONS" : allow);
    headers.add("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    headers.add("Access-Control-Allow-Headers", "*, Authorization");
    headers.add("Access-Control-Max-Age", "86400");
    return headers;
}

io::Task<void> refuse(http::Exchange& exchange, const ApiError& error, http::Headers headers) {
    if (error.status == 503) headers.add("Retry-After", "1");
    const std::string body = error_body(error);
    // A client that has gone needs no answer.
    co_await exchange.respond(error.status, kJson, body, headers);
}

io::Task<void> refuse(http::Exchange& exchange, const ApiError& error) {
    co_await refuse(exchange, error, open_to_all());
}

io::Task<void> respond_json(http::Exchange& exchange, const std::string& body) {
    const http::Headers headers = open_to_all();
    co_await exchange.respond(200, kJson, body, headers);
}

ApiError unknown_path(const http::Request& request) {
    return {.status = 404,
            .message = "there is no route " + request.method + " " + request.path +
                       "; there are POST /v1/chat/completions, POST /v1/completions, "
                       "GET /v1/models, GET /health",
            .code = "unknown_url",
            .param = {}};
}

ApiError wrong_method(const http::Request& request, const std::string& allow) {
    return {.status = 405,
            .message = request.path + " does not take " + request.method + "; it takes " + allow,
            .code = "method_not_allowed",
            .param = {}};
}

/// Why an answer ended without being one: the server stops, or the model failed.
std::optional<ApiError> answer_error(const AnswerPiece& piece) {
    switch (*piece.finish) {
        case engine::FinishReason::stop:
        case engine::FinishReason::length: return std::nullopt;
        case engine::FinishReason::cancelled:
            return api_error({Errc::unavailable, "the server is stopping"}, {});
        case engine::FinishReason::failed: break;
    }
    if (piece.error) return api_error(*piece.error, {});
    return api_error({Errc::io, "the engine failed"}, {});
}

/// Frees the request's place in the model, however its handler ends.
class CancelOnExit {
public:
    CancelOnExit(engine::TextModel& model, engine::RequestId id) : model_(model), id_(id) {}

    CancelOnExit(const CancelOnExit&) = delete;
    CancelOnExit& operator=(const CancelOnExit&) = delete;

    ~CancelOnExit() { model_.cancel(id_); }

private:
    engine::TextModel& model_;
    engine::RequestId id_;
};

std::string random_id(std::string_view prefix, CounterRandom& random) {
    constexpr std::string_view kLetters = "0123456789abcdefghijklmnopqrstuv";
    std::string id(prefix);
    for (int half = 0; half < 2; ++half) {
        std::uint64_t bits = random.next();
        for (int i = 0; i < 12; ++i, bits >>= 5)
            id += kLetters[bits % kLetters.size()];
    }
    return id;
}

}  // namespace

OpenaiRoutes::OpenaiRoutes(Surroundings surroundings, OpenaiOptions options)
    : model_(surroundings.model),
      loop_(surroundings.loop),
      work_(surroundings.work),
      options_(std::move(options)),
      random_(options_.random_seed),
      started_(options_.unix_seconds()) {}

io::Task<void> OpenaiRoutes::handle(const http::Request& request, http::Exchange& exchange) {
    const Routing routing = route(request.method, request.path);
    switch (routing.outcome) {
        case Routing::Outcome::found: break;
        case Routing::Outcome::preflight: {
            const http::Headers headers = preflight_headers(routing.allow);
            co_await exchange.respond(204, "", "", headers);
            co_return;
        }
        case Routing::Outcome::unknown_path: {
            const ApiError error = unknown_path(request);
            co_await refuse(exchange, error);
            co_return;
        }
        case Routing::Outcome::wrong_method: {
            const ApiError error = wrong_method(request, routing.allow);
            http::Headers headers = open_to_all();
            headers.add("Allow", routing.allow);
            co_await refuse(exchange, error, std::move(headers));
            co_return;
        }
    }
    switch (routing.endpoint) {
        case Endpoint::chat:
        case Endpoint::completion:
            co_await answer_request(routing.endpoint, request, exchange);
            co_return;
        case Endpoint::models: {
            const std::string body = model_list(model_.model_name(), started_);
            co_await respond_json(exchange, body);
            co_return;
        }
        case Endpoint::model: co_await show_model(routing.model_id, exchange); co_return;
        case Endpoint::health: co_await show_health(exchange); co_return;
    }
}

io::Task<void> OpenaiRoutes::answer_request(Endpoint endpoint,
                                            const http::Request& request,
                                            http::Exchange& exchange) {
    const auto kind =
        endpoint == Endpoint::chat ? StreamWriter::Kind::chat : StreamWriter::Kind::completion;
    const std::uint64_t seed = random_.next();
    const auto prepare = [this, kind, seed, &request] {
        return prepare_job(kind, model_, request.body, seed);
    };
    auto prepared = co_await io::offload(work_, prepare);
    if (!prepared) {
        const ApiError error = api_error(prepared.error(), {});
        co_await refuse(exchange, error);
        co_return;
    }
    if (!prepared->has_value()) {
        co_await refuse(exchange, prepared->error());
        co_return;
    }
    GenerationJob& job = **prepared;
    const auto inbox = std::make_shared<AnswerInbox>(loop_);
    const auto on_event = [inbox](const engine::Event& event) {
        inbox->put(event);
    };
    const auto id = model_.submit(std::move(job.request), on_event);
    if (!id) {
        const ApiError error = submit_error(id.error(), kind);
        co_await refuse(exchange, error);
        co_return;
    }
    const CancelOnExit guard(model_, *id);
    if (job.is_stream) {
        StreamWriter writer(kind, new_head(kind), job.includes_usage);
        co_await answer_stream(std::move(writer), *inbox, exchange);
    } else {
        co_await answer_whole(kind, *inbox, exchange);
    }
}

io::Task<void> OpenaiRoutes::answer_whole(StreamWriter::Kind kind,
                                          AnswerInbox& inbox,
                                          http::Exchange& exchange) {
    std::string text;
    for (;;) {
        const AnswerPiece piece = co_await inbox.take();
        text += piece.text;
        if (!piece.finish) continue;
        if (const auto error = answer_error(piece)) {
            co_await refuse(exchange, *error);
            co_return;
        }
        const WholeAnswer answer{.text = text, .finish = *piece.finish, .stats = piece.stats};
        const AnswerHead head = new_head(kind);
        const std::string body = kind == StreamWriter::Kind::chat ? chat_answer(head, answer)
                                                                  : completion_answer(head, answer);
        co_await respond_json(exchange, body);
        co_return;
    }
}

io::Task<void> OpenaiRoutes::answer_stream(StreamWriter writer,
                                           AnswerInbox& inbox,
                                           http::Exchange& exchange) {
    http::Headers headers = open_to_all();
    headers.add("Cache-Control", "no-cache");
    headers.add("X-Accel-Buffering", "no");  // nginx passes events on as they come
    const Result<> started = co_await exchange.start_stream(200, kEventStream, headers);
    if (!started) co_return;
    const std::string beginning = writer.begin();
    const Result<> begun = co_await exchange.write_chunk(beginning);
    if (!begun) co_return;
    for (bool is_over = false; !is_over;) {
        const AnswerPiece piece = co_await inbox.take();
        is_over = piece.finish.has_value();
        std::string events = writer.text(piece.text);
        if (is_over) {
            const auto error = answer_error(piece);
            events +=
                error ? sse_event(error_body(*error)) : writer.end(*piece.finish, piece.stats);
        }
        const Result<> written = co_await exchange.write_chunk(events);
        if (!written) co_return;
    }
    co_await exchange.finish();
}

io::Task<void> OpenaiRoutes::show_model(const std::string& id, http::Exchange& exchange) {
    if (id == model_.model_name()) {
        const std::string body = model_object(id, started_);
        co_await respond_json(exchange, body);
        co_return;
    }
    const ApiError error{
        .status = 404,
        .message = "there is no model " + id + "; this server has " + model_.model_name(),
        .code = "model_not_found",
        .param = "model"};
    co_await refuse(exchange, error);
}

io::Task<void> OpenaiRoutes::show_health(http::Exchange& exchange) {
    const engine::EngineStats stats = model_.stats();
    json::Writer out;
    out.begin_object().member("status", "ok").member("model", model_.model_name());
    out.member("running", stats.running).member("waiting", stats.waiting).end();
    const std::string body = out.take();
    co_await respond_json(exchange, body);
}

AnswerHead OpenaiRoutes::new_head(StreamWriter::Kind kind) {
    const bool is_chat = kind == StreamWriter::Kind::chat;
    return {.id = random_id(is_chat ? "chatcmpl-" : "cmpl-", random_),
            .created = options_.unix_seconds(),
            .model = model_.model_name(),
            .fingerprint = options_.fingerprint};
}

}  // namespace kwaai::api
