#include "cli/report.hpp"

#include <fmt/format.h>

#include "cli/process_memory.hpp"
#include "cli/terminal.hpp"

namespace kwaai::cli {
namespace {

/// The first token of an answer comes out of reading the prompt: speed is that of the others.
double written_per_second(const engine::RequestStats& stats) {
    if (stats.completion_tokens < 2) return 0;
    return per_second(stats.completion_tokens - 1, stats.completion_seconds);
}

}  // namespace

Result<void> write_answer(std::string_view text) {
    if (stdout_is_terminal()) return write_out(printable(text));
    return write_out(text);
}

void end_answer(std::string_view text) {
    if (stdout_is_terminal() && !text.ends_with('\n')) write_note("\n");
}

double per_second(double tokens, double seconds) {
    return seconds > 0 ? tokens / seconds : 0;
}

std::string stats_for_people(const engine::TextModel& model,
                             const Answer& answer,
                             std::uint64_t seed) {
    const engine::RequestStats& stats = answer.stats;
    const engine::EngineStats machine = model.stats();
    const ProcessMemory memory = process_memory();
    std::string text = fmt::format("\n{} tokens read at {:.1f}/s, {} written at {:.1f}/s ({})\n",
                                   stats.prompt_tokens,
                                   per_second(stats.prompt_tokens, stats.prompt_seconds),
                                   stats.completion_tokens,
                                   written_per_second(stats),
                                   engine::to_string(answer.finish));
    text += fmt::format("{}, {} threads, {}; memory {:.0f} MB, at most {:.0f} MB; --seed {}\n",
                        model.model_name(),
                        machine.threads,
                        machine.isa,
                        static_cast<double>(memory.resident) / 1e6,
                        static_cast<double>(memory.resident_peak) / 1e6,
                        seed);
    return faint(text);
}

void write_stats(json::Writer& out, const engine::RequestStats& stats) {
    const ProcessMemory memory = process_memory();
    out.key("usage").begin_object();
    out.member("prompt_tokens", stats.prompt_tokens);
    out.member("completion_tokens", stats.completion_tokens);
    out.end();
    out.key("timings").begin_object();
    out.member("prompt_seconds", stats.prompt_seconds);
    out.member("prompt_per_second", per_second(stats.prompt_tokens, stats.prompt_seconds));
    out.member("completion_seconds", stats.completion_seconds);
    out.member("completion_per_second", written_per_second(stats));
    out.end();
    out.key("memory").begin_object();
    out.member("resident_bytes", memory.resident);
    out.member("resident_peak_bytes", memory.resident_peak);
    out.end();
}

}  // namespace kwaai::cli
