// A block backend without threads: for simulations, where everything happens in an order that
// replays.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "engine/block_backend.hpp"
#include "engine/block_batcher.hpp"
#include "engine/loading.hpp"
#include "engine/machine.hpp"
#include "engine/session_ledger.hpp"

namespace kwaai::engine {

/// Computes inside submit(), on the caller's thread, and calls the handler there. Confined to one
/// thread; handlers may call it.
class InlineBlockBackend final : public BlockBackend {
public:
    /// @param range empty: the whole model
    /// @param kv_bytes_max memory for keys and values; 0 = a quarter of what is free
    /// Errors of load_blocks.
    static Result<std::unique_ptr<InlineBlockBackend>> load(
        const std::string& path,
        std::optional<inference::BlockRange> range,
        std::uint64_t kv_bytes_max);

    /// Serves blocks that are loaded, maybe with others, with a cache of its own.
    InlineBlockBackend(std::shared_ptr<const LoadedBlocks> blocks, std::uint64_t kv_bytes_max);

    [[nodiscard]] inference::BlockRange range() const override { return blocks_->span.range(); }

    [[nodiscard]] const inference::ModelConfig& config() const override { return blocks_->config; }

    [[nodiscard]] const std::string& model_name() const override { return blocks_->name; }

    [[nodiscard]] BlockBackendStats stats() const override;
    Result<SessionId> open(const SessionOptions& options) override;
    void submit(BlockStep step, StepHandler done) override;
    void close(SessionId session) override;

private:
    std::shared_ptr<const LoadedBlocks> blocks_;
    HugePageSource memory_;
    SerialExecutor executor_;
    BlockBatcher batcher_;
    SessionLedger ledger_;
};

}  // namespace kwaai::engine
