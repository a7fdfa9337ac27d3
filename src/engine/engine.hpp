// A model at work on this machine: loads it, batches the requests of all users, writes their text.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "engine/loading.hpp"
#include "engine/text_model.hpp"

namespace kwaai::engine {

/// What loading needs to know.
struct EngineOptions {
    unsigned threads = 0;             // 0 = the cores this process may use
    std::uint32_t context = 0;        // positions a request may have; 0 = min(the model's, 8192)
    std::uint32_t requests_max = 64;  // running and waiting; more are refused
    std::uint64_t kv_bytes_max =
        0;  // memory for keys and values; 0 = a quarter of what is free, at least one context
    ProgressHandler on_progress;
};

/// The whole model on this machine. Owns a thread that runs the batches and the compute pool;
/// events are called on that thread.
class Engine final : public TextModel {
public:
    /// Loads a GGUF file or a Hugging Face directory. Errors of open_model and read_config;
    /// `limit_exceeded` when the machine has not enough memory (says how much is wanted).
    static Result<std::unique_ptr<Engine>> load(const std::string& path,
                                                const EngineOptions& options);

    /// Cancels what runs, then joins.
    ~Engine() override;

    [[nodiscard]] const inference::ModelConfig& config() const override;
    [[nodiscard]] const inference::Tokenizer& tokenizer() const override;
    [[nodiscard]] const Result<inference::ChatTemplate>& chat_template() const override;
    [[nodiscard]] const std::string& model_name() const override;
    [[nodiscard]] std::uint32_t context() const override;
    [[nodiscard]] EngineStats stats() const override;
    Result<RequestId> submit(Request request, std::function<void(const Event&)> on_event) override;
    void cancel(RequestId id) override;

private:
    struct Impl;
    explicit Engine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace kwaai::engine
