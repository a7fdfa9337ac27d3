#include "cli/model_locator.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "node/directories.hpp"

namespace kwaai::cli {
namespace {

namespace fs = std::filesystem;

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return result;
}

/// The message for a name that is neither a path nor in the cache.
std::string advice(const std::string& wanted) {
    const std::vector<std::string> names = cached_models();
    const std::string cache = model_cache();
    std::string text = fmt::format("no model '{}': there is no such file, and ", wanted);
    text += names.empty() ? fmt::format("the cache {} is empty", cache)
                          : fmt::format("the cache {} holds {}", cache, fmt::join(names, ", "));
    text += wanted == kDefaultModel
                ? "; `make model` fetches it, or give the path of a GGUF file"
                : "; give the path of a GGUF file or of a Hugging Face directory";
    return text;
}

}  // namespace

std::string model_cache() {
    return node::cache_directory() + "/models";
}

std::vector<std::string> cached_models() {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry(model_cache(), error), end; !error && entry != end;
         entry.increment(error)) {
        std::error_code ignored;
        if (entry->path().extension() == ".gguf" || entry->is_directory(ignored))
            names.push_back(entry->path().filename().string());
    }
    std::ranges::sort(names);
    return names;
}

Result<std::string> choose_model(std::string_view wanted, std::span<const std::string> names) {
    const std::string key = lower(wanted);
    std::vector<std::string> candidates;
    for (const std::string& name : names) {
        const std::string folded = lower(name);
        if (folded == key || folded == key + ".gguf") return name;
        if (folded.starts_with(key)) candidates.push_back(name);
    }
    if (key.empty() || candidates.empty())
        return fail(Errc::not_found, fmt::format("no model '{}' in the cache", wanted));
    if (candidates.size() > 1) {
        return fail(Errc::invalid_argument,
                    fmt::format("'{}' may be any of {}; give more of the name",
                                wanted,
                                fmt::join(candidates, ", ")));
    }
    return candidates.front();
}

Result<std::string> find_model(const std::string& argument) {
    const std::string wanted = argument.empty() ? std::string(kDefaultModel) : argument;
    std::error_code ignored;
    if (!argument.empty() && fs::exists(argument, ignored)) return argument;
    // Something that looks like a path was meant as one.
    const bool is_path = wanted.find('/') != std::string::npos;
    if (!is_path) {
        auto name = choose_model(wanted, cached_models());
        if (name) return model_cache() + "/" + *name;
        if (name.error().code != Errc::not_found) return forward_error(name);
    }
    return fail(Errc::not_found, advice(wanted));
}

}  // namespace kwaai::cli
