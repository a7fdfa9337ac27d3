// How much memory this process holds.
#pragma once
#include <cstdint>
#include <string_view>

namespace kwaai::cli {

/// Bytes; 0 where the system does not say.
struct ProcessMemory {
    std::uint64_t resident = 0;       // now (VmRSS)
    std::uint64_t resident_peak = 0;  // at most so far (VmHWM)
};

[[nodiscard]] ProcessMemory process_memory();

/// From the text of Linux' /proc/self/status (proc_pid_status(5)).
[[nodiscard]] ProcessMemory parse_process_status(std::string_view status);

}  // namespace kwaai::cli
