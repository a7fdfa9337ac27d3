// Flags that several verbs share, and loading the model they name.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "cli/terminal.hpp"
#include "engine/engine.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's
class App;
}

namespace kwaai::cli {

/// Which model, and how much of the machine it may use.
struct EngineFlags {
    std::string model;  // a path or a name in the cache; empty = the default
    unsigned threads = 0;
    std::uint32_t context = 0;
};

/// `[MODEL] --threads --context`. `flags` must outlive the parse.
void add_engine_flags(CLI::App& verb, EngineFlags& flags);

struct SamplingFlags {
    inference::SamplingOptions options;
    std::optional<std::uint64_t> seed;
};

/// `--temperature --top-p --top-k --min-p --repeat-penalty --seed`.
void add_sampling_flags(CLI::App& verb, SamplingFlags& flags);

/// The sampling options with the seed that was given, or one picked by the operating system.
[[nodiscard]] inference::SamplingOptions seeded(const SamplingFlags& flags);

/// What the flags say, with loading shown on `progress`, which outlives the loading.
[[nodiscard]] engine::EngineOptions engine_options(const EngineFlags& flags,
                                                   ProgressLine& progress);

/// Finds and loads the model, with a progress line on a terminal. Errors of find_model and
/// Engine::load.
Result<std::unique_ptr<engine::Engine>> load_engine(const EngineFlags& flags);

}  // namespace kwaai::cli
