#include "testing/fixtures.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace kwaai::testing {
namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody writes it
    return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

std::optional<std::string> fixture(std::string_view relative) {
    const std::string root = environment("KWAAI_FIXTURES");
    if (root.empty()) return std::nullopt;
    std::string path = root + "/" + std::string(relative);
    if (!std::filesystem::exists(path)) return std::nullopt;
    return path;
}

std::optional<std::string> smollm2_model() {
    std::string path = environment("KWAAI_MODEL");
    if (path.empty()) {
        const std::string cache = environment("XDG_CACHE_HOME");
        const std::string root = cache.empty() ? environment("HOME") + "/.cache" : cache;
        path = root + "/kwaai/models/SmolLM2-135M-Instruct.Q4_1.gguf";
    }
    if (!std::filesystem::exists(path)) return std::nullopt;
    return path;
}

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    REQUIRE_MESSAGE(file.good(), "cannot read ", path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::byte> read_file(const std::string& path) {
    const std::string text = read_text(path);
    const Bytes bytes = as_bytes(text);
    return {bytes.begin(), bytes.end()};
}

std::uint64_t seed(std::uint64_t otherwise) {
    const std::string text = environment("KWAAI_SEED");
    const std::uint64_t value = text.empty() ? otherwise : std::strtoull(text.c_str(), nullptr, 0);
    MESSAGE("seed " << value << " (replay with KWAAI_SEED=" << value << ")");
    return value;
}

}  // namespace kwaai::testing
