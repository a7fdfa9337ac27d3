// What a client of a swarm holds of a model: all but its blocks.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "engine/loading.hpp"
#include "engine/text_model.hpp"
#include "inference/block.hpp"
#include "inference/chat_template.hpp"
#include "inference/model.hpp"
#include "inference/model_config.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai::engine {

struct ModelEndsOptions {
    std::uint32_t context = 0;          // positions a request may have; 0 = min(the model's, 8192)
    std::shared_ptr<ComputePool> pool;  // shared with others; empty: one of its own
    unsigned threads = 0;               // of its own pool; 0 = the cores this process may use
    ProgressHandler on_progress;
};

/// Tokenizer, chat template, embedding and head; thread-safe. Only the ends' weights are read from
/// the file.
class ModelEnds {
public:
    /// Loads from a GGUF file or a Hugging Face directory. Errors of open_model_files,
    /// read_text_parts, load_weights and choose_pool.
    static Result<std::unique_ptr<ModelEnds>> load(const std::string& path,
                                                   const ModelEndsOptions& options);

    [[nodiscard]] const inference::ModelConfig& config() const { return text_.config; }

    [[nodiscard]] const inference::Tokenizer& tokenizer() const { return text_.tokenizer; }

    /// The model's chat template, or why it has none that we know.
    [[nodiscard]] const Result<inference::ChatTemplate>& chat_template() const {
        return text_.chat_template;
    }

    /// The file's name without extension.
    [[nodiscard]] const std::string& model_name() const { return text_.name; }

    [[nodiscard]] std::uint32_t context() const { return text_.context; }

    [[nodiscard]] std::size_t weight_bytes() const { return ends_.size_bytes(); }

    [[nodiscard]] unsigned threads() const { return pool_->worker_count(); }

    /// What they cost and compute with; requests are no matter of theirs.
    [[nodiscard]] EngineStats stats() const;

    /// The rows [tokens, hidden] that go into the first block. Tokens must be below the
    /// vocabulary's size.
    [[nodiscard]] std::vector<float> embed(std::span<const inference::TokenId> tokens) const;

    /// Logits [rows, vocabulary] of rows [rows, hidden] that come out of the last block.
    [[nodiscard]] std::vector<float> head(std::span<const float> rows);

private:
    ModelEnds(TextParts text, inference::Ends ends, std::shared_ptr<ComputePool> pool);

    TextParts text_;
    std::shared_ptr<ComputePool> pool_;
    std::mutex mutex_;  // guards the scratch memory of what follows
    inference::Ends ends_;
    inference::Workspace workspace_;
};

}  // namespace kwaai::engine
