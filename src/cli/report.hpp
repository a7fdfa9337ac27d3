// How answers and their numbers are shown.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "cli/generate.hpp"
#include "json/writer.hpp"

namespace kwaai::cli {

/// Writes text of a model to stdout: as it is, or, on a terminal, without characters that command
/// it.
Result<void> write_answer(std::string_view text);

/// On a terminal, begins a new line after an answer that did not; files get the text alone.
void end_answer(std::string_view text);

/// Tokens per second; 0 where nothing was measured.
[[nodiscard]] double per_second(double tokens, double seconds);

/// Two lines for stderr: speed, memory, and what replays the answer.
[[nodiscard]] std::string stats_for_people(const engine::TextModel& model,
                                           const Answer& answer,
                                           std::uint64_t seed);

/// Members "usage", "timings" and "memory" of the object that `out` has open.
void write_stats(json::Writer& out, const engine::RequestStats& stats);

}  // namespace kwaai::cli
