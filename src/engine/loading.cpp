#include "engine/loading.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "engine/files.hpp"
#include "engine/machine.hpp"

namespace kwaai::engine {
namespace {

constexpr std::uint32_t kContextDefault = 8192;
constexpr unsigned kThreadsMax = 256;

// Calls `report` about ten times a second until destroyed, and once more then.
class ProgressReporter {
public:
    ProgressReporter(const ProgressHandler& report,
                     const std::atomic<std::uint64_t>& done,
                     std::uint64_t total)
        : report_(report), done_(done), total_(total) {
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

    const ProgressHandler& report_;
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

}  // namespace

Result<OpenedModel> open_model_files(const std::string& path) {
    LocalFiles files;
    KWAAI_TRY(inference::ModelFile file, inference::open_model(path, files));
    auto config = inference::read_config(file);
    if (!config) return forward_error(config, path);
    return OpenedModel{path, std::move(file), std::move(*config)};
}

Result<TextParts> read_text_parts(const OpenedModel& model, std::uint32_t context) {
    auto tokenizer = inference::Tokenizer::from_model(model.file);
    if (!tokenizer) return forward_error(tokenizer, model.path);
    if (tokenizer->size() > model.config.vocabulary)
        return fail(Errc::malformed,
                    model.path + ": the tokenizer has " + std::to_string(tokenizer->size()) +
                        " tokens and the embedding only " +
                        std::to_string(model.config.vocabulary));
    KWAAI_TRY(const std::uint32_t positions, choose_context(context, model.config));
    return TextParts{.name = model.file.name,
                     .config = model.config,
                     .tokenizer = std::move(*tokenizer),
                     .chat_template = inference::ChatTemplate::from_model(model.file),
                     .context = positions};
}

Result<Weights> load_weights(const OpenedModel& model,
                             WeightsWanted wanted,
                             Executor& executor,
                             const ProgressHandler& on_progress) {
    const std::uint64_t total = inference::bytes_to_load(
        model.file, wanted.blocks.value_or(inference::BlockRange{}), wanted.with_ends);
    auto checked = check_memory(total);
    if (!checked) return forward_error(checked, model.path);
    std::atomic<std::uint64_t> done{0};
    const ProgressReporter reporter(on_progress, done, total);
    HugePageSource memory;
    const inference::LoadContext load{model.file, model.config, memory, executor, &done};
    Weights weights;
    if (wanted.blocks) {
        auto span = inference::Span::load(load, *wanted.blocks);
        if (!span) return forward_error(span, model.path);
        weights.span = std::move(*span);
    }
    if (wanted.with_ends) {
        auto ends = inference::Ends::load(load);
        if (!ends) return forward_error(ends, model.path);
        weights.ends = std::move(*ends);
    }
    return weights;
}

Result<std::shared_ptr<const LoadedBlocks>> load_blocks(const std::string& path,
                                                        std::optional<inference::BlockRange> range,
                                                        Executor& executor,
                                                        const ProgressHandler& on_progress) {
    KWAAI_TRY(OpenedModel model, open_model_files(path));
    const inference::BlockRange all{0, model.config.block_count};
    KWAAI_TRY(Weights weights,
              load_weights(model, {.blocks = range.value_or(all)}, executor, on_progress));
    return std::make_shared<const LoadedBlocks>(LoadedBlocks{.name = std::move(model.file.name),
                                                             .config = std::move(model.config),
                                                             .span = std::move(*weights.span)});
}

Result<std::shared_ptr<ComputePool>> choose_pool(std::shared_ptr<ComputePool> shared,
                                                 unsigned threads) {
    if (shared) return shared;
    if (threads > kThreadsMax)
        return fail(Errc::invalid_argument,
                    std::to_string(threads) + " threads are too many: at most " +
                        std::to_string(kThreadsMax));
    return std::make_shared<ComputePool>(threads > 0 ? threads : usable_cores());
}

std::size_t choose_kv_pages(std::uint64_t bytes_max,
                            std::uint32_t positions_min,
                            const inference::KvGeometry& geometry) {
    const std::uint64_t bytes = bytes_max > 0 ? bytes_max : available_memory() / 4;
    const std::size_t fewest =
        (std::size_t{positions_min} + kernels::kPagePositions - 1) / kernels::kPagePositions;
    return std::max<std::size_t>(fewest, static_cast<std::size_t>(bytes / geometry.page_bytes()));
}

}  // namespace kwaai::engine
