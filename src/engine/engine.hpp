// A model at work on this machine: loads it, batches the requests of all users, writes their text.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "inference/chat_template.hpp"
#include "inference/model_config.hpp"
#include "inference/sampler.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai::engine {

/// What loading needs to know.
struct EngineOptions {
    unsigned threads = 0;             // 0 = the cores this process may use
    std::uint32_t context = 0;        // positions a request may have; 0 = min(the model's, 8192)
    std::uint32_t requests_max = 64;  // running and waiting; more are refused
    std::uint64_t kv_bytes_max =
        0;  // memory for keys and values; 0 = a quarter of what is free, at least one context
    /// Called now and then, from a thread of its own, with the bytes repacked so far and the total.
    std::function<void(std::uint64_t done, std::uint64_t total)> on_progress;
};

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

/// Thread-safe. Owns a thread that runs the batches and the compute pool.
class Engine {
public:
    /// Loads a GGUF file or a Hugging Face directory. Errors of open_model and read_config;
    /// `limit_exceeded` when the machine has not enough memory (says how much is wanted).
    static Result<std::unique_ptr<Engine>> load(const std::string& path,
                                                const EngineOptions& options);

    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    /// Cancels what runs, then joins.
    ~Engine();

    [[nodiscard]] const inference::ModelConfig& config() const;
    [[nodiscard]] const inference::Tokenizer& tokenizer() const;
    /// The model's chat template, or why it has none that we know.
    [[nodiscard]] const Result<inference::ChatTemplate>& chat_template() const;
    /// A short name for people and for the `model` field of the API: the file's name without
    /// extension.
    [[nodiscard]] const std::string& model_name() const;
    [[nodiscard]] std::uint32_t context() const;
    [[nodiscard]] EngineStats stats() const;

    /// Queues a request. `on_event` is called on the engine's thread, in order, the last time with
    /// `finish`, never after cancel() of that id has been answered by its `cancelled` event; it
    /// must be quick and not throw. `Errc::invalid_argument` for options out of range or an empty
    /// prompt, `limit_exceeded` when the prompt does not fit the context (says both numbers),
    /// `unavailable` when requests_max are already here.
    Result<RequestId> submit(Request request, std::function<void(const Event&)> on_event);

    /// Asks for the end of a request; its last event follows soon. Unknown ids are ignored.
    void cancel(RequestId id);

private:
    struct Impl;
    explicit Engine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace kwaai::engine
