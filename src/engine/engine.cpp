#include "engine/engine.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "engine/batcher.hpp"
#include "engine/compute_pool.hpp"
#include "engine/continuation.hpp"
#include "engine/loading.hpp"
#include "engine/machine.hpp"
#include "inference/model.hpp"
#include "kernels/isa.hpp"

namespace kwaai::engine {

struct Engine::Impl {
    Impl(TextParts text_parts, std::uint32_t requests_limit, std::shared_ptr<ComputePool> threads)
        : text(std::move(text_parts)), requests_max(requests_limit), pool(std::move(threads)) {}

    void put_to_work(Weights weights, std::uint64_t kv_bytes_max);
    void run();
    [[nodiscard]] bool take_orders();

    TextParts text;
    std::uint32_t requests_max;
    const kernels::Isa& isa = kernels::best();
    HugePageSource memory;
    std::shared_ptr<ComputePool> pool;
    std::optional<inference::Span> span;
    std::optional<inference::Ends> ends;
    std::optional<inference::KvPool> kv;
    std::optional<Batcher> batcher;  // used by the engine's thread alone

    std::atomic<std::uint32_t> present{0};  // requests whose last event has not been sent

    std::mutex mutex;  // guards what follows
    std::condition_variable orders;
    std::vector<std::unique_ptr<Job>> submitted;
    std::vector<RequestId> cancelled;
    bool is_stopping = false;
    RequestId next_id = 1;
    EngineStats stats;
    std::thread thread;
};

void Engine::Impl::put_to_work(Weights weights, std::uint64_t kv_bytes_max) {
    span = std::move(weights.span);
    ends = std::move(weights.ends);
    kv.emplace(span->kv_geometry(),
               choose_kv_pages(kv_bytes_max, text.context, span->kv_geometry()),
               memory);
    batcher.emplace(text.config, *span, *ends, *kv, *pool, isa);
    stats.weight_bytes = span->size_bytes() + ends->size_bytes();
    stats.kv_bytes_max = kv->pages_max() * kv->geometry().page_bytes();
    stats.threads = pool->worker_count();
    stats.isa = isa.name;
    stats.arithmetic_id = kernels::kArithmeticId;
}

// Moves what callers ordered to the batcher; sleeps while there is nothing to do. False when the
// engine ends.
bool Engine::Impl::take_orders() {
    std::vector<std::unique_ptr<Job>> jobs;
    std::vector<RequestId> ids;
    {
        std::unique_lock lock(mutex);
        stats.running = static_cast<std::uint32_t>(batcher->running());
        stats.waiting = static_cast<std::uint32_t>(batcher->waiting());
        stats.kv_bytes_used = kv->pages_used() * kv->geometry().page_bytes();
        orders.wait(lock, [&] {
            return is_stopping || !submitted.empty() || !cancelled.empty() || !batcher->is_idle();
        });
        if (is_stopping) return false;
        jobs.swap(submitted);
        ids.swap(cancelled);
        stats.waiting += static_cast<std::uint32_t>(jobs.size());
    }
    for (auto& job : jobs)
        batcher->add(std::move(job));
    for (const RequestId id : ids)
        batcher->cancel(id);
    return true;
}

void Engine::Impl::run() {
    while (take_orders())
        batcher->step();
    for (auto& job : submitted)
        batcher->add(std::move(job));  // nobody submits any more
    batcher->cancel_all();
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
    impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

Engine::~Engine() {
    {
        const std::scoped_lock lock(impl_->mutex);
        impl_->is_stopping = true;
    }
    impl_->orders.notify_one();
    impl_->thread.join();
}

Result<std::unique_ptr<Engine>> Engine::load(const std::string& path,
                                             const EngineOptions& options) {
    KWAAI_TRY(auto pool, choose_pool(nullptr, options.threads));
    KWAAI_TRY(const OpenedModel model, open_model_files(path));
    KWAAI_TRY(TextParts text, read_text_parts(model, options.context));
    const WeightsWanted whole{.blocks = inference::BlockRange{0, model.config.block_count},
                              .with_ends = true};
    KWAAI_TRY(Weights weights, load_weights(model, whole, *pool, options.on_progress));
    auto impl = std::make_unique<Impl>(std::move(text), options.requests_max, std::move(pool));
    impl->put_to_work(std::move(weights), options.kv_bytes_max);
    return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

const inference::ModelConfig& Engine::config() const {
    return impl_->text.config;
}

const inference::Tokenizer& Engine::tokenizer() const {
    return impl_->text.tokenizer;
}

const Result<inference::ChatTemplate>& Engine::chat_template() const {
    return impl_->text.chat_template;
}

const std::string& Engine::model_name() const {
    return impl_->text.name;
}

std::uint32_t Engine::context() const {
    return impl_->text.context;
}

EngineStats Engine::stats() const {
    const std::scoped_lock lock(impl_->mutex);
    return impl_->stats;
}

Result<RequestId> Engine::submit(Request request, std::function<void(const Event&)> on_event) {
    KWAAI_TRY(const std::uint32_t tokens_max,
              check_request(request, impl_->text.context, impl_->text.config.vocabulary));
    const std::scoped_lock lock(impl_->mutex);
    const std::size_t present =
        impl_->stats.running + impl_->stats.waiting + impl_->submitted.size();
    if (present >= impl_->requests_max)
        return fail(Errc::unavailable,
                    "all " + std::to_string(impl_->requests_max) +
                        " places for requests are taken: try again later");
    ++impl_->present;
    const RequestId id = impl_->next_id++;
    auto counted = [impl = impl_.get(), on_event = std::move(on_event)](const Event& event) {
        if (event.finish) --impl->present;
        on_event(event);
    };
    impl_->submitted.push_back(std::make_unique<Job>(
        id, std::move(request), std::move(counted), tokens_max, impl_->text.tokenizer, *impl_->kv));
    impl_->orders.notify_one();
    return id;
}

void Engine::cancel(RequestId id) {
    const std::scoped_lock lock(impl_->mutex);
    impl_->cancelled.push_back(id);
    impl_->orders.notify_one();
}

}  // namespace kwaai::engine
