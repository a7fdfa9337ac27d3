// A block backend on this machine's cores.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "engine/block_backend.hpp"
#include "engine/loading.hpp"

namespace kwaai::engine {

struct BlockEngineOptions {
    std::optional<inference::BlockRange> range;  // empty: the whole model
    std::shared_ptr<ComputePool> pool;           // shared with others; empty: one of its own
    unsigned threads = 0;            // of its own pool; 0 = the cores this process may use
    std::uint64_t kv_bytes_max = 0;  // for keys and values; 0 = a quarter of what is free
    ProgressHandler on_progress;
};

/// Thread-safe. Owns a thread that computes: steps of many sessions in one batch of up to 128 rows,
/// short ones first, long ones a piece at a time. Handlers are called on that thread.
class BlockEngine final : public BlockBackend {
public:
    /// Loads blocks of a GGUF file or a Hugging Face directory, no others. Errors of load_blocks
    /// and choose_pool.
    static Result<std::unique_ptr<BlockEngine>> load(const std::string& path,
                                                     const BlockEngineOptions& options);

    /// Serves blocks that are loaded, with a cache of its own. @param kv_bytes_max as in the
    /// options
    BlockEngine(std::shared_ptr<const LoadedBlocks> blocks,
                std::shared_ptr<ComputePool> pool,
                std::uint64_t kv_bytes_max);

    /// Answers what waits with `Errc::cancelled`, then joins.
    ~BlockEngine() override;

    [[nodiscard]] inference::BlockRange range() const override;
    [[nodiscard]] const inference::ModelConfig& config() const override;
    [[nodiscard]] const std::string& model_name() const override;
    [[nodiscard]] BlockBackendStats stats() const override;
    Result<SessionId> open(const SessionOptions& options) override;
    void submit(BlockStep step, StepHandler done) override;
    void close(SessionId session) override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kwaai::engine
