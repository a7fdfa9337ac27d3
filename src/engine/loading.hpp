// How models come into memory: what the engine, servers of blocks and clients of a swarm share.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/executor.hpp"
#include "base/result.hpp"
#include "engine/compute_pool.hpp"
#include "inference/chat_template.hpp"
#include "inference/model.hpp"
#include "inference/model_config.hpp"
#include "inference/model_file.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai::engine {

/// Called now and then, from a thread of its own, with the bytes repacked so far and the total.
using ProgressHandler = std::function<void(std::uint64_t done, std::uint64_t total)>;

/// A model's files, and the shape they say it has.
struct OpenedModel {
    std::string path;
    inference::ModelFile file;
    inference::ModelConfig config;
};

/// Opens a GGUF file or a Hugging Face directory. Errors of open_model and read_config, with the
/// path.
Result<OpenedModel> open_model_files(const std::string& path);

/// What stands between text and tokens, and the positions a request may have.
struct TextParts {
    std::string name;  // of the file, without extension
    inference::ModelConfig config;
    inference::Tokenizer tokenizer;
    Result<inference::ChatTemplate> chat_template;  // or why it has none that we know
    std::uint32_t context = 0;
};

/// @param context positions; 0 = min(the model's, 8192)
/// `Errc::invalid_argument` when the model has fewer, `malformed` when tokenizer and embedding do
/// not fit, errors of Tokenizer::from_model.
Result<TextParts> read_text_parts(const OpenedModel& model, std::uint32_t context);

/// What to load of a model.
struct WeightsWanted {
    std::optional<inference::BlockRange> blocks;
    bool with_ends = false;
};

struct Weights {
    std::optional<inference::Span> span;
    std::optional<inference::Ends> ends;
};

/// Repacks weights into 2 MB pages. `Errc::limit_exceeded` when the machine has not enough memory
/// (says how much is wanted), errors of Span::load and Ends::load; with the path.
Result<Weights> load_weights(const OpenedModel& model,
                             WeightsWanted wanted,
                             Executor& executor,
                             const ProgressHandler& on_progress);

/// Blocks in memory. Immutable: several backends may serve them.
struct LoadedBlocks {
    std::string name;  // of the model's file, without extension
    inference::ModelConfig config;
    inference::Span span;
};

/// @param range empty: the whole model
/// Errors of open_model_files and load_weights.
Result<std::shared_ptr<const LoadedBlocks>> load_blocks(const std::string& path,
                                                        std::optional<inference::BlockRange> range,
                                                        Executor& executor,
                                                        const ProgressHandler& on_progress = {});

/// `shared` where it is there, else a pool of `threads` (0 = the cores this process may use).
/// `Errc::invalid_argument` for more than 256.
Result<std::shared_ptr<ComputePool>> choose_pool(std::shared_ptr<ComputePool> shared,
                                                 unsigned threads);

/// Pages of memory for keys and values: `bytes_max`, or a quarter of what is free where that is 0;
/// at least `positions_min`.
[[nodiscard]] std::size_t choose_kv_pages(std::uint64_t bytes_max,
                                          std::uint32_t positions_min,
                                          const inference::KvGeometry& geometry);

}  // namespace kwaai::engine
