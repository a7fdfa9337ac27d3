#include "engine/block_engine.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "engine/block_batcher.hpp"
#include "engine/machine.hpp"
#include "engine/session_ledger.hpp"

namespace kwaai::engine {
namespace {

struct StepOrder {
    SessionShape shape;
    BlockStep step;
    StepHandler done;
};

struct CloseOrder {
    SessionId session;
};

using Order = std::variant<StepOrder, CloseOrder>;

}  // namespace

struct BlockEngine::Impl {
    Impl(std::shared_ptr<const LoadedBlocks> loaded,
         std::shared_ptr<ComputePool> threads,
         std::size_t pages_max)
        : blocks(std::move(loaded)),
          pool(std::move(threads)),
          batcher(*blocks, pages_max, memory, *pool),
          ledger(blocks->span.range(), blocks->config.hidden, pages_max) {}

    void run();
    [[nodiscard]] bool take_orders();
    void carry_out(Order& order);
    void answer();

    std::shared_ptr<const LoadedBlocks> blocks;
    std::shared_ptr<ComputePool> pool;
    HugePageSource memory;
    BlockBatcher batcher;  // used by the engine's thread alone

    std::mutex mutex;  // guards what follows
    std::condition_variable ordered;
    std::vector<Order> orders;  // bounded by the ledger
    SessionLedger ledger;
    std::uint64_t batches = 0;
    std::uint64_t rows = 0;
    bool is_stopping = false;
    std::thread thread;
};

// Moves what callers ordered to the batcher; sleeps while there is nothing to do. False when the
// engine ends.
bool BlockEngine::Impl::take_orders() {
    std::vector<Order> taken;
    bool goes_on = true;
    {
        std::unique_lock lock(mutex);
        ordered.wait(lock, [&] { return is_stopping || !orders.empty() || !batcher.is_idle(); });
        taken.swap(orders);
        goes_on = !is_stopping;
    }
    for (Order& order : taken)
        carry_out(order);
    return goes_on;
}

void BlockEngine::Impl::carry_out(Order& order) {
    if (auto* step = std::get_if<StepOrder>(&order))
        batcher.add(step->shape, std::move(step->step), std::move(step->done));
    else
        batcher.close(std::get<CloseOrder>(order).session);
}

void BlockEngine::Impl::answer() {
    std::vector<FinishedStep> finished = batcher.take_finished();
    {
        const std::scoped_lock lock(mutex);
        batches = batcher.batches();
        rows = batcher.rows();
        for (FinishedStep& step : finished)
            if (!ledger.end_step(step.session, step.rows))
                step.result = fail(Errc::cancelled, "the session was closed");
    }
    for (FinishedStep& step : finished)
        step.done(std::move(step.result));
}

void BlockEngine::Impl::run() {
    while (take_orders()) {
        batcher.compute();
        answer();
    }
    batcher.close_all();
    answer();
}

BlockEngine::BlockEngine(std::shared_ptr<const LoadedBlocks> blocks,
                         std::shared_ptr<ComputePool> pool,
                         std::uint64_t kv_bytes_max) {
    const std::size_t pages = choose_kv_pages(kv_bytes_max, 1, blocks->span.kv_geometry());
    impl_ = std::make_unique<Impl>(std::move(blocks), std::move(pool), pages);
    impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

BlockEngine::~BlockEngine() {
    {
        const std::scoped_lock lock(impl_->mutex);
        impl_->is_stopping = true;
    }
    impl_->ordered.notify_one();
    impl_->thread.join();
}

Result<std::unique_ptr<BlockEngine>> BlockEngine::load(const std::string& path,
                                                       const BlockEngineOptions& options) {
    KWAAI_TRY(auto pool, choose_pool(options.pool, options.threads));
    KWAAI_TRY(auto blocks, load_blocks(path, options.range, *pool, options.on_progress));
    return std::make_unique<BlockEngine>(std::move(blocks), std::move(pool), options.kv_bytes_max);
}

inference::BlockRange BlockEngine::range() const {
    return impl_->blocks->span.range();
}

const inference::ModelConfig& BlockEngine::config() const {
    return impl_->blocks->config;
}

const std::string& BlockEngine::model_name() const {
    return impl_->blocks->name;
}

BlockBackendStats BlockEngine::stats() const {
    const std::scoped_lock lock(impl_->mutex);
    BlockBackendStats stats = describe(*impl_->blocks, impl_->ledger);
    stats.batches = impl_->batches;
    stats.rows = impl_->rows;
    stats.threads = impl_->pool->worker_count();
    return stats;
}

Result<SessionId> BlockEngine::open(const SessionOptions& options) {
    const std::scoped_lock lock(impl_->mutex);
    return impl_->ledger.open(options);
}

void BlockEngine::submit(BlockStep step, StepHandler done) {
    const auto queue = [&]() -> Result<> {
        const std::scoped_lock lock(impl_->mutex);
        if (impl_->is_stopping) return fail(Errc::cancelled, "the engine ends");
        KWAAI_TRY(const SessionShape shape, impl_->ledger.admit(step));
        impl_->orders.emplace_back(StepOrder{shape, std::move(step), std::move(done)});
        return {};
    };
    if (auto queued = queue(); !queued) return done(forward_error(queued));
    impl_->ordered.notify_one();
}

void BlockEngine::close(SessionId session) {
    {
        const std::scoped_lock lock(impl_->mutex);
        if (!impl_->ledger.close(session)) return;
        impl_->orders.emplace_back(CloseOrder{session});
    }
    impl_->ordered.notify_one();
}

}  // namespace kwaai::engine
