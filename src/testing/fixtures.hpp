// Where tests find third-party data, and how they say that it is missing.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "base/bytes.hpp"

namespace kwaai::testing {

/// The path of `relative` below the directory named by KWAAI_FIXTURES; nothing where that is unset
/// or the file is missing.
[[nodiscard]] std::optional<std::string> fixture(std::string_view relative);

/// The SmolLM2 model of `tools/fetch_model.sh` (KWAAI_MODEL, else the user's cache); nothing where
/// it is not there.
[[nodiscard]] std::optional<std::string> smollm2_model();

/// The smallest model of the fixtures: 260 thousand parameters in F32.
inline constexpr const char* kStories = "models/stories260K.gguf";

/// All bytes of a file; a failed test where it cannot be read.
[[nodiscard]] std::vector<std::byte> read_file(const std::string& path);
[[nodiscard]] std::string read_text(const std::string& path);

/// KWAAI_SEED where it is set, else `otherwise`; prints the seed in use.
[[nodiscard]] std::uint64_t seed(std::uint64_t otherwise);

}  // namespace kwaai::testing

/// Declares `name` as the path of a fixture, or ends the test case with a line that says what was
/// skipped.
// NOLINTBEGIN(bugprone-macro-parentheses): `name` is what is declared
#define KWAAI_FIXTURE(name, relative)                                             \
    const auto name##_found = ::kwaai::testing::fixture(relative);                \
    if (!name##_found) {                                                          \
        MESSAGE("skipped: no fixture " << (relative) << " (set KWAAI_FIXTURES)"); \
        return;                                                                   \
    }                                                                             \
    const std::string& name = *name##_found
// NOLINTEND(bugprone-macro-parentheses)
