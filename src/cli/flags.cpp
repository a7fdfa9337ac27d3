#include "cli/flags.hpp"

#include <CLI/CLI.hpp>
#include <sys/random.h>

#include "base/check.hpp"
#include "cli/model_locator.hpp"

namespace kwaai::cli {
namespace {

/// 32 bits: short enough to be typed again, many enough for a new answer each time.
std::uint64_t fresh_seed() {
    std::uint32_t seed = 0;
    KWAAI_CHECK(::getentropy(&seed, sizeof(seed)) == 0, "the system has random numbers");
    return seed;
}

}  // namespace

void add_engine_flags(CLI::App& verb, EngineFlags& flags) {
    verb.add_option("MODEL",
                    flags.model,
                    "GGUF file, Hugging Face directory, or name in the cache (default: " +
                        std::string(kDefaultModel) + ")");
    verb.add_option("--threads", flags.threads, "Compute threads (default: the cores we may use)")
        ->check(CLI::Range(1u, 1024u));
    verb.add_option("--context",
                    flags.context,
                    "Positions a conversation may have (default: the model's, at most 8192)")
        ->check(CLI::Range(1u, 1u << 24));
}

void add_sampling_flags(CLI::App& verb, SamplingFlags& flags) {
    auto& options = flags.options;
    verb.add_option("--temperature", options.temperature, "0 always takes the likeliest token")
        ->capture_default_str();
    verb.add_option("--top-p", options.top_p, "Keep the likeliest tokens up to this mass; 1 = all")
        ->capture_default_str();
    verb.add_option("--top-k", options.top_k, "Keep this many of the likeliest tokens; 0 = all")
        ->capture_default_str();
    verb.add_option("--min-p",
                    options.min_p,
                    "Keep tokens at least this likely relative to the likeliest; 0 = all")
        ->capture_default_str();
    verb.add_option("--repeat-penalty", options.repeat_penalty, "Above 1 discourages recent tokens")
        ->capture_default_str();
    verb.add_option("--seed", flags.seed, "Replays an answer (default: a new one, shown)");
}

inference::SamplingOptions seeded(const SamplingFlags& flags) {
    inference::SamplingOptions options = flags.options;
    options.seed = flags.seed ? *flags.seed : fresh_seed();
    return options;
}

engine::EngineOptions engine_options(const EngineFlags& flags, ProgressLine& progress) {
    engine::EngineOptions options;
    options.threads = flags.threads;
    options.context = flags.context;
    options.on_progress = [&progress](std::uint64_t done, std::uint64_t total) {
        progress.update(done, total);
    };
    return options;
}

Result<std::unique_ptr<engine::Engine>> load_engine(const EngineFlags& flags) {
    KWAAI_TRY(const std::string path, find_model(flags.model));
    ProgressLine progress("loading");
    return engine::Engine::load(path, engine_options(flags, progress));
}

}  // namespace kwaai::cli
