#include "engine/inline_block_backend.hpp"

#include <utility>
#include <vector>

namespace kwaai::engine {

Result<std::unique_ptr<InlineBlockBackend>> InlineBlockBackend::load(
    const std::string& path,
    std::optional<inference::BlockRange> range,
    std::uint64_t kv_bytes_max) {
    SerialExecutor executor;
    KWAAI_TRY(auto blocks, load_blocks(path, range, executor));
    return std::make_unique<InlineBlockBackend>(std::move(blocks), kv_bytes_max);
}

InlineBlockBackend::InlineBlockBackend(std::shared_ptr<const LoadedBlocks> blocks,
                                       std::uint64_t kv_bytes_max)
    : blocks_(std::move(blocks)),
      batcher_(*blocks_,
               choose_kv_pages(kv_bytes_max, 1, blocks_->span.kv_geometry()),
               memory_,
               executor_),
      ledger_(blocks_->span.range(), blocks_->config.hidden, batcher_.pool().pages_max()) {}

BlockBackendStats InlineBlockBackend::stats() const {
    BlockBackendStats stats = describe(*blocks_, ledger_);
    stats.batches = batcher_.batches();
    stats.rows = batcher_.rows();
    stats.threads = 1;
    return stats;
}

Result<SessionId> InlineBlockBackend::open(const SessionOptions& options) {
    return ledger_.open(options);
}

void InlineBlockBackend::submit(BlockStep step, StepHandler done) {
    auto shape = ledger_.admit(step);
    if (!shape) return done(forward_error(shape));
    batcher_.add(*shape, std::move(step), std::move(done));
    while (!batcher_.is_idle())
        batcher_.compute();
    for (FinishedStep& finished : batcher_.take_finished()) {
        ledger_.end_step(finished.session, finished.rows);
        finished.done(std::move(finished.result));
    }
}

void InlineBlockBackend::close(SessionId session) {
    if (ledger_.close(session)) batcher_.close(session);
}

}  // namespace kwaai::engine
