// What this machine gives a process: cores, memory, 2 MB pages.
#pragma once
#include <cstdint>

#include "tensor/buffer.hpp"

namespace kwaai::engine {

/// Cores this process may use: its affinity mask, limited by the CPU quota of its cgroup; at
/// least 1.
[[nodiscard]] unsigned usable_cores();

/// Bytes that can be allocated before the machine swaps: MemAvailable, limited by the cgroup; 0
/// when unknown.
[[nodiscard]] std::uint64_t available_memory();

/// Memory of this process that is in RAM now, and the most it has been (bytes; 0 when unknown).
struct ResidentMemory {
    std::uint64_t now = 0;
    std::uint64_t peak = 0;
};

[[nodiscard]] ResidentMemory resident_memory();

/// Anonymous memory, aligned to 2 MB and asking for 2 MB pages where a buffer is large enough:
/// reading weights through them is 30 to 90 % faster (measured on Zen 4;
/// docs/decisions/0004-memory.md).
class HugePageSource final : public tensor::BufferSource {
public:
    Result<tensor::Buffer> allocate(std::size_t size) override;
};

}  // namespace kwaai::engine
