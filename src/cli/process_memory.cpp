#include "cli/process_memory.hpp"

#include <charconv>
#include <fstream>
#include <iterator>
#include <string>

namespace kwaai::cli {
namespace {

/// The value in bytes of a line like "VmRSS:\t  171234 kB"; 0 when there is none.
std::uint64_t field_bytes(std::string_view status, std::string_view field) {
    const std::size_t line = status.find(field);
    if (line == std::string_view::npos) return 0;
    std::string_view rest = status.substr(line + field.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
    std::uint64_t kilobytes = 0;
    std::from_chars(rest.data(), rest.data() + rest.size(), kilobytes);
    return kilobytes * 1024;
}

}  // namespace

ProcessMemory parse_process_status(std::string_view status) {
    return {.resident = field_bytes(status, "VmRSS:"),
            .resident_peak = field_bytes(status, "VmHWM:")};
}

ProcessMemory process_memory() {
    std::ifstream file("/proc/self/status");
    const std::string status{std::istreambuf_iterator<char>(file), {}};
    return parse_process_status(status);
}

}  // namespace kwaai::cli
