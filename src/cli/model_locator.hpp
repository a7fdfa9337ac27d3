// From what a person types to a model's path: a path, or a name in the user's cache.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace kwaai::cli {

/// What `make model` fetches and what runs when no model is named.
inline constexpr std::string_view kDefaultModel = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// ${XDG_CACHE_HOME:-~/.cache}/kwaai/models.
[[nodiscard]] std::string model_cache();

/// GGUF files and directories in the cache, sorted; empty when there is none.
[[nodiscard]] std::vector<std::string> cached_models();

/// The one of `names` that `wanted` means: itself, or itself with ".gguf", or the only one that
/// begins with it, whatever the case. `Errc::not_found`, or `invalid_argument` naming the
/// candidates when several fit.
Result<std::string> choose_model(std::string_view wanted, std::span<const std::string> names);

/// The path of a model: `argument` when such a file or directory exists, else the cached one of
/// that name; `kDefaultModel` when it is empty. The error says what to do and lists the cache.
Result<std::string> find_model(const std::string& argument);

}  // namespace kwaai::cli
