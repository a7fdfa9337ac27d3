#include "engine/engine.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "engine/batcher.hpp"
#include "engine/compute_pool.hpp"
#include "engine/files.hpp"
#include "engine/machine.hpp"
#include "inference/model.hpp"
#include "kernels/isa.hpp"

namespace kwaai::engine {
namespace {

constexpr std::uint32_t kContextDefault = 8192;
constexpr unsigned kThreadsMax = 256;

// Calls `report` about ten times a second until destroyed, and once more then.
class ProgressReporter {
public:
    ProgressReporter(std::function<void(std::uint64_t, std::uint64_t)> report,
                     const std::atomic<std::uint64_t>& done,
                     std::uint64_t total)
        : report_(std::move(report)), done_(done), total_(total) {
        if (report_) thread_ = std::thread([this] { run(); });
    }

    ProgressReporter(const ProgressReporter&) = delete;
    ProgressReporter& operator=(const ProgressReporter&) = delete;

    ~ProgressReporter() {
        if (!thread_.joinable()) return;
        {
            const std::scoped_lock lock(mutex_);
            is_over_ = true;
        }
        over_.notify_one();
        thread_.join();
    }

private:
    void run() {
        std::unique_lock lock(mutex_);
        while (!over_.wait_for(lock, std::chrono::milliseconds(100), [&] { return is_over_; }))
            report_(std::min(done_.load(), total_), total_);
        report_(std::min(done_.load(), total_), total_);
    }

    std::function<void(std::uint64_t, std::uint64_t)> report_;
    const std::atomic<std::uint64_t>& done_;
    std::uint64_t total_;
    std::mutex mutex_;
    std::condition_variable over_;
    bool is_over_ = false;
    std::thread thread_;
};

std::string mebibytes(std::uint64_t bytes) {
    return std::to_string((bytes + (1U << 20) - 1) >> 20) + " MiB";
}

Result<std::uint32_t> choose_context(std::uint32_t wanted, const inference::ModelConfig& config) {
    if (wanted == 0) return std::min(config.context, kContextDefault);
    if (wanted > config.context)
        return fail(Errc::invalid_argument,
                    "a context of " + std::to_string(wanted) + " is more than this model's " +
                        std::to_string(config.context) + " positions");
    return wanted;
}

Result<void> check_memory(std::uint64_t wanted) {
    const std::uint64_t available = available_memory();
    if (available == 0 || wanted <= available) return {};
    return fail(Errc::limit_exceeded,
                "the model needs " + mebibytes(wanted) + " of memory and this machine has " +
                    mebibytes(available) + " free: choose a smaller model or quantisation");
}

// Memory for keys and values: what was asked for or a quarter of what is free, at least one whole
// context.
std::size_t choose_pages(const EngineOptions& options,
                         std::uint32_t context,
                         const inference::KvGeometry& geometry) {
    const std::uint64_t bytes =
        options.kv_bytes_max > 0 ? options.kv_bytes_max : available_memory() / 4;
    const std::size_t one =
        (std::size_t{context} + kernels::kPagePositions - 1) / kernels::kPagePositions;
    return std::max<std::size_t>(one, static_cast<std::size_t>(bytes / geometry.page_bytes()));
}

}  // namespace

struct Engine::Impl {
    Impl(std::string model_name,
         inference::ModelConfig model_config,
         inference::Tokenizer model_tokenizer,
         Result<inference::ChatTemplate> model_template,
         std::uint32_t context_positions,
         unsigned requests_limit,
         unsigned threads)
        : name(std::move(model_name)),
          config(std::move(model_config)),
          tokenizer(std::move(model_tokenizer)),
          chat_template(std::move(model_template)),
          context(context_positions),
          requests_max(requests_limit),
          pool(threads) {}

    Result<void> load_weights(const inference::ModelFile& file, const EngineOptions& options);
    void run();
    [[nodiscard]] bool take_orders();

    std::string name;
    inference::ModelConfig config;
    inference::Tokenizer tokenizer;
    Result<inference::ChatTemplate> chat_template;
    std::uint32_t context;
    unsigned requests_max;
    const kernels::Isa& isa = kernels::best();
    HugePageSource memory;
    ComputePool pool;
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

Result<void> Engine::Impl::load_weights(const inference::ModelFile& file,
                                        const EngineOptions& options) {
    const inference::BlockRange all{0, config.block_count};
    const std::uint64_t total = inference::bytes_to_load(file, all, true);
    KWAAI_CHECKED(check_memory(total));
    std::atomic<std::uint64_t> done{0};
    {
        const ProgressReporter reporter(options.on_progress, done, total);
        const inference::LoadContext load{file, config, memory, pool, &done};
        KWAAI_TRY(span, inference::Span::load(load, all));
        KWAAI_TRY(ends, inference::Ends::load(load));
    }
    kv.emplace(span->kv_geometry(), choose_pages(options, context, span->kv_geometry()), memory);
    batcher.emplace(config, tokenizer, *span, *ends, *kv, pool, isa);
    stats.weight_bytes = span->size_bytes() + ends->size_bytes();
    stats.kv_bytes_max = kv->pages_max() * kv->geometry().page_bytes();
    stats.threads = pool.worker_count();
    stats.isa = isa.name;
    stats.arithmetic_id = kernels::kArithmeticId;
    return {};
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
    if (options.threads > kThreadsMax)
        return fail(Errc::invalid_argument,
                    std::to_string(options.threads) + " threads are too many: at most " +
                        std::to_string(kThreadsMax));
    LocalFiles files;
    KWAAI_TRY(const inference::ModelFile file, inference::open_model(path, files));
    auto config = inference::read_config(file);
    if (!config) return forward_error(config, path);
    auto tokenizer = inference::Tokenizer::from_model(file);
    if (!tokenizer) return forward_error(tokenizer, path);
    if (tokenizer->size() > config->vocabulary)
        return fail(Errc::malformed,
                    path + ": the tokenizer has " + std::to_string(tokenizer->size()) +
                        " tokens and the embedding only " + std::to_string(config->vocabulary));
    KWAAI_TRY(const std::uint32_t context, choose_context(options.context, *config));
    const unsigned threads = options.threads > 0 ? options.threads : usable_cores();
    auto impl = std::make_unique<Impl>(file.name,
                                       std::move(*config),
                                       std::move(*tokenizer),
                                       inference::ChatTemplate::from_model(file),
                                       context,
                                       options.requests_max,
                                       threads);
    auto loaded = impl->load_weights(file, options);
    if (!loaded) return forward_error(loaded, path);
    return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

const inference::ModelConfig& Engine::config() const {
    return impl_->config;
}

const inference::Tokenizer& Engine::tokenizer() const {
    return impl_->tokenizer;
}

const Result<inference::ChatTemplate>& Engine::chat_template() const {
    return impl_->chat_template;
}

const std::string& Engine::model_name() const {
    return impl_->name;
}

std::uint32_t Engine::context() const {
    return impl_->context;
}

EngineStats Engine::stats() const {
    const std::scoped_lock lock(impl_->mutex);
    return impl_->stats;
}

Result<RequestId> Engine::submit(Request request, std::function<void(const Event&)> on_event) {
    KWAAI_CHECKED(request.sampling.validate());
    if (request.prompt.empty()) return fail(Errc::invalid_argument, "the prompt is empty");
    for (const inference::TokenId token : request.prompt)
        if (token >= impl_->config.vocabulary)
            return fail(Errc::invalid_argument,
                        "token " + std::to_string(token) + " is outside the vocabulary of " +
                            std::to_string(impl_->config.vocabulary));
    const std::size_t length = request.prompt.size();
    if (length >= impl_->context)
        return fail(Errc::limit_exceeded,
                    "the prompt has " + std::to_string(length) + " tokens and the context only " +
                        std::to_string(impl_->context) + ": shorten it or raise --context");
    const std::size_t room = impl_->context - length;
    const std::size_t completion =
        request.max_tokens > 0 ? std::min<std::size_t>(request.max_tokens, room) : room;
    const auto tokens_max = static_cast<std::uint32_t>(length + completion);

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
        id, std::move(request), std::move(counted), tokens_max, impl_->tokenizer, *impl_->kv));
    impl_->orders.notify_one();
    return id;
}

void Engine::cancel(RequestId id) {
    const std::scoped_lock lock(impl_->mutex);
    impl_->cancelled.push_back(id);
    impl_->orders.notify_one();
}

}  // namespace kwaai::engine
