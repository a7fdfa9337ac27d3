#include "node/directories.hpp"

#include <cstdlib>

namespace kwaai::node {
namespace {

std::string directory(const char* variable, const char* below_home) {
    const auto environment = [](const char* name) {
        const char* const value =
            std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody writes it
        return value == nullptr ? std::string() : std::string(value);
    };
    const std::string set = environment(variable);
    return (set.empty() ? environment("HOME") + below_home : set) + "/kwaai";
}

}  // namespace

std::string cache_directory() {
    return directory("XDG_CACHE_HOME", "/.cache");
}

std::string data_directory() {
    return directory("XDG_DATA_HOME", "/.local/share");
}

std::string client_network_path() {
    return data_directory() + "/client.network";
}

}  // namespace kwaai::node
