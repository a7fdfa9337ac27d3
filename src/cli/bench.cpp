// kwaai bench: llama-bench's two tests, pp (reading a prompt) and tg (writing token by token).
#include "cli/bench.hpp"

#include <cmath>
#include <numeric>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/check.hpp"
#include "base/random.hpp"
#include "cli/exit_status.hpp"
#include "cli/flags.hpp"
#include "cli/generate.hpp"
#include "cli/process_memory.hpp"
#include "cli/report.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "json/writer.hpp"

namespace kwaai::cli {
namespace {

struct BenchFlags {
    EngineFlags engine;
    std::uint32_t prompt_tokens = 512;
    std::uint32_t generated_tokens = 128;
    std::uint32_t repetitions = 5;
    bool is_json = false;
};

/// One test and its tokens per second, a value a repetition.
struct Measured {
    std::string name;  // "pp512", "tg128"
    std::vector<double> per_second;
};

/// `count` tokens that no earlier prompt begins with, so that no cached keys and values help.
std::vector<inference::TokenId> random_prompt(const engine::Engine& engine,
                                              std::uint32_t count,
                                              std::uint64_t seed) {
    CounterRandom random(seed);
    std::vector<inference::TokenId> tokens(count);
    for (inference::TokenId& token : tokens)
        token = static_cast<inference::TokenId>(random.next() % engine.config().vocabulary);
    return tokens;
}

Result<engine::RequestStats> measure_once(engine::Engine& engine,
                                          Interrupts& interrupts,
                                          std::vector<inference::TokenId> prompt,
                                          std::uint32_t generated) {
    engine::Request request;
    request.prompt = std::move(prompt);
    request.sampling.temperature = 0;
    request.max_tokens = generated;
    request.ignore_end = true;
    const auto nothing = [](std::string_view) -> Result<void> {
        return {};
    };
    KWAAI_TRY(const Answer answer, generate(engine, std::move(request), interrupts, nothing));
    if (answer.finish == engine::FinishReason::cancelled)
        return fail(Errc::cancelled, "interrupted");
    return answer.stats;
}

/// Reads a prompt of n tokens into an empty cache; the one token it gives is not counted.
Result<double> read_speed(engine::Engine& engine,
                          Interrupts& interrupts,
                          std::uint32_t tokens,
                          std::uint64_t seed) {
    KWAAI_TRY(const auto stats,
              measure_once(engine, interrupts, random_prompt(engine, tokens, seed), 1));
    return per_second(tokens, stats.prompt_seconds);
}

/// Writes n tokens one by one after a prompt of one token. The first comes out of the prompt, so
/// n + 1 are asked for.
Result<double> write_speed(engine::Engine& engine,
                           Interrupts& interrupts,
                           std::uint32_t tokens,
                           std::uint64_t seed) {
    KWAAI_TRY(const auto stats,
              measure_once(engine, interrupts, random_prompt(engine, 1, seed), tokens + 1));
    return per_second(tokens, stats.completion_seconds);
}

using Test = Result<double>(engine::Engine&, Interrupts&, std::uint32_t, std::uint64_t);

/// A warm-up that does not count, then the repetitions.
Result<Measured> repeat(Test& test,
                        std::string_view name,
                        std::uint32_t tokens,
                        const BenchFlags& flags,
                        engine::Engine& engine,
                        Interrupts& interrupts) {
    Measured measured{.name = fmt::format("{}{}", name, tokens), .per_second = {}};
    for (std::uint32_t i = 0; i <= flags.repetitions; ++i) {
        KWAAI_TRY(const double speed, test(engine, interrupts, tokens, i));
        if (i > 0) measured.per_second.push_back(speed);
    }
    return measured;
}

Result<void> check_room(const engine::Engine& engine, const BenchFlags& flags) {
    const std::uint32_t wanted = std::max(flags.prompt_tokens + 1, flags.generated_tokens + 2);
    if (wanted <= engine.context()) return {};
    return fail(Errc::limit_exceeded,
                fmt::format("the tests need {} positions and the context has {}: give smaller "
                            "--prompt-tokens and --generate",
                            wanted,
                            engine.context()));
}

std::string as_json(const engine::Engine& engine, std::span<const Measured> all) {
    const engine::EngineStats stats = engine.stats();
    json::Writer out;
    out.begin_object();
    out.member("model", engine.model_name()).member("weight_bytes", stats.weight_bytes);
    out.member("threads", stats.threads).member("isa", stats.isa);
    out.member("resident_peak_bytes", process_memory().resident_peak);
    out.key("tests").begin_array();
    for (const Measured& measured : all) {
        const Spread speed = spread(measured.per_second);
        out.begin_object().member("test", measured.name);
        out.member("tokens_per_second", speed.mean).member("deviation", speed.deviation);
        out.key("samples").begin_array();
        for (const double value : measured.per_second)
            out.value(value);
        out.end().end();
    }
    return out.end().end().take() + "\n";
}

std::string for_people(const engine::Engine& engine, std::span<const Measured> all) {
    const engine::EngineStats stats = engine.stats();
    std::string out = fmt::format("| {:<34} | {:>8} | {:>7} | {:<7} | {:>6} | {:>18} |\n",
                                  "model",
                                  "size",
                                  "threads",
                                  "isa",
                                  "test",
                                  "tokens/s");
    out +=
        fmt::format("|{:-<36}|{:->9}:|{:->8}:|{:-<9}|{:->7}:|{:->19}:|\n", "", "", "", "", "", "");
    for (const Measured& measured : all) {
        const Spread speed = spread(measured.per_second);
        out += fmt::format("| {:<34} | {:>5.0f} MB | {:>7} | {:<7} | {:>6} | {:>18} |\n",
                           printable(engine.model_name()),
                           static_cast<double>(stats.weight_bytes) / 1e6,
                           stats.threads,
                           stats.isa,
                           measured.name,
                           fmt::format("{:.2f} ± {:.2f}", speed.mean, speed.deviation));
    }
    return out;
}

Result<void> bench(const BenchFlags& flags) {
    Interrupts interrupts;
    KWAAI_TRY(const std::unique_ptr<engine::Engine> engine, load_engine(flags.engine));
    KWAAI_CHECKED(check_room(*engine, flags));
    std::vector<Measured> all;
    if (flags.prompt_tokens > 0) {
        KWAAI_TRY(auto read,
                  repeat(read_speed, "pp", flags.prompt_tokens, flags, *engine, interrupts));
        all.push_back(std::move(read));
    }
    if (flags.generated_tokens > 0) {
        KWAAI_TRY(auto written,
                  repeat(write_speed, "tg", flags.generated_tokens, flags, *engine, interrupts));
        all.push_back(std::move(written));
    }
    return write_out(flags.is_json ? as_json(*engine, all) : for_people(*engine, all));
}

}  // namespace

Spread spread(std::span<const double> values) {
    KWAAI_CHECK(!values.empty(), "a spread has values");
    const auto count = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
    if (values.size() == 1) return {.mean = mean, .deviation = 0};
    double squares = 0;
    for (const double value : values)
        squares += (value - mean) * (value - mean);
    return {.mean = mean, .deviation = std::sqrt(squares / (count - 1))};
}

Action add_bench(CLI::App& verb) {
    const auto flags = std::make_shared<BenchFlags>();
    add_engine_flags(verb, flags->engine);
    verb.add_option("-p,--prompt-tokens", flags->prompt_tokens, "Tokens of the pp test; 0 skips it")
        ->check(CLI::Range(0u, 1u << 20))
        ->capture_default_str();
    verb.add_option("-n,--generate", flags->generated_tokens, "Tokens of the tg test; 0 skips it")
        ->check(CLI::Range(0u, 1u << 20))
        ->capture_default_str();
    verb.add_option("-r,--repetitions", flags->repetitions, "Times each test is repeated")
        ->check(CLI::Range(1u, 1000u))
        ->capture_default_str();
    verb.add_flag("--json", flags->is_json, "Print one JSON object");
    verb.footer(
        "Each test runs once before it counts.\n\n"
        "Example:\n"
        "  kwaai bench model.gguf --threads 1 -p 512 -n 128");
    return [flags] {
        const auto done = bench(*flags);
        return done ? kOk : report(done.error());
    };
}

}  // namespace kwaai::cli
