// A model that writes text: what the API, the chat and `kwaai run` ask of one, wherever its blocks
// are computed.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "inference/chat_template.hpp"
#include "inference/model_config.hpp"
#include "inference/sampler.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai::engine {

enum class FinishReason : std::uint8_t {
    stop,    // an end token or a stop string
    length,  // max_tokens or the context
    cancelled,
    failed,  // see Event::error
};

[[nodiscard]] std::string_view to_string(FinishReason reason);

/// One text to be continued.
struct Request {
    std::vector<inference::TokenId> prompt;  // not empty
    inference::SamplingOptions sampling;
    std::uint32_t max_tokens = 0;  // 0 = as many as the context allows
    std::vector<std::string> stops;
    /// The text goes on from the prompt's (raw completions): a space that its first token begins
    /// with belongs to it. An answer in a chat is a text of its own, where SentencePiece's is not.
    bool continues_prompt = false;
    bool ignore_end = false;  // benchmarks: goes on after an end token
    /// Start from keys and values that an earlier request with the same beginning left behind. The
    /// text is the same either way; benchmarks say no.
    bool reuse_prefix = true;
};

struct RequestStats {
    std::uint32_t prompt_tokens = 0;
    std::uint32_t reused_tokens = 0;  // of the prompt, see Request::reuse_prefix
    std::uint32_t completion_tokens = 0;
    double prompt_seconds = 0;      // from first row computed to first token
    double completion_seconds = 0;  // from first token to last
};

/// What happened to a request. `text` is whole UTF-8 characters, maybe empty; the last event has
/// `finish`.
struct Event {
    std::string text;
    std::vector<inference::TokenId> tokens;
    std::optional<FinishReason> finish;
    RequestStats stats;          // complete in the last event
    std::optional<Error> error;  // with FinishReason::failed
};

using RequestId = std::uint64_t;

struct EngineStats {
    std::uint64_t weight_bytes = 0;
    std::uint64_t kv_bytes_max = 0;
    std::uint64_t kv_bytes_used = 0;
    std::uint32_t running = 0;
    std::uint32_t waiting = 0;
    unsigned threads = 0;
    std::string isa;
    std::uint32_t arithmetic_id = 0;  // engines of equal ids give equal bits
};

/// Takes requests from any thread and gives their text as events. Implementations: `Engine`, with
/// the whole model on this machine; clients of a swarm. All functions are thread-safe.
class TextModel {
public:
    TextModel() = default;
    TextModel(const TextModel&) = delete;
    TextModel& operator=(const TextModel&) = delete;
    virtual ~TextModel() = default;

    [[nodiscard]] virtual const inference::ModelConfig& config() const = 0;
    [[nodiscard]] virtual const inference::Tokenizer& tokenizer() const = 0;
    /// The model's chat template, or why it has none that we know.
    [[nodiscard]] virtual const Result<inference::ChatTemplate>& chat_template() const = 0;
    /// A short name for people and for the `model` field of the API: the file's name without
    /// extension.
    [[nodiscard]] virtual const std::string& model_name() const = 0;
    /// Positions a request may have.
    [[nodiscard]] virtual std::uint32_t context() const = 0;
    [[nodiscard]] virtual EngineStats stats() const = 0;

    /// Queues a request. `on_event` is called on a thread of the model's, in order, the last time
    /// with `finish`, never after cancel() of that id has been answered by its `cancelled` event;
    /// it must be quick and not throw. `Errc::invalid_argument` for options out of range or an
    /// empty prompt, `limit_exceeded` when the prompt does not fit the context (says both numbers),
    /// `unavailable` when the model has as many requests as it takes.
    virtual Result<RequestId> submit(Request request,
                                     std::function<void(const Event&)> on_event) = 0;

    /// Asks for the end of a request; its last event follows soon. Unknown ids are ignored.
    virtual void cancel(RequestId id) = 0;
};

}  // namespace kwaai::engine
