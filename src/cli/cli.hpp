// The command line: picks the verb, parses its flags, runs it.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace kwaai::cli {

/// Runs the program on main's arguments and returns its exit status: 0 done, 1 failed, 2 used
/// wrongly, 130 interrupted. Nothing is thrown.
int run_program(int argc, const char* const* argv);

/// The word of `words` nearest to `typed`, when at most a third of it, or two letters, differ; else
/// nothing.
[[nodiscard]] std::string_view nearest_word(std::string_view typed,
                                            std::span<const std::string_view> words);

}  // namespace kwaai::cli
