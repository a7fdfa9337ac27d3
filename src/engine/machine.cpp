#include "engine/machine.hpp"

#include <algorithm>
#include <fstream>
#include <string>

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.hpp"

namespace kwaai::engine {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// The first number after `key` in a file of "key value" lines, in its own unit; 0 when there is
// none.
std::uint64_t number_after(const char* path, const std::string& key) {
    std::ifstream file(path);
    std::string word;
    std::uint64_t value = 0;
    while (file >> word)
        if (word == key && file >> value) return value;
    return 0;
}

std::uint64_t number_in(const char* path) {
    std::ifstream file(path);
    std::uint64_t value = 0;
    file >> value;
    return file ? value : 0;
}

// Cores that the quota of a cgroup (v2, then v1) amounts to, rounded up; 0 when there is none.
unsigned quota_cores() {
    std::ifstream file("/sys/fs/cgroup/cpu.max");
    double quota = 0;
    double period = 0;
    if (!(file >> quota >> period)) {
        quota = static_cast<double>(number_in("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"));
        period = static_cast<double>(number_in("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
    }
    if (quota <= 0 || period <= 0 || quota > 1e9) return 0;
    return static_cast<unsigned>(quota / period + 0.999);
}

void release_mapping(std::byte* data, std::size_t size) {
    ::munmap(data, round_up(size, kHugePage));
}

}  // namespace

unsigned usable_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    const int count = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const unsigned cores = static_cast<unsigned>(std::max(count, 1));
    const unsigned quota = quota_cores();
    return quota > 0 ? std::min(cores, quota) : cores;
}

std::uint64_t available_memory() {
    std::uint64_t available = number_after("/proc/meminfo", "MemAvailable:") * 1024;
    const std::uint64_t limit = number_in("/sys/fs/cgroup/memory.max");
    const std::uint64_t used = number_in("/sys/fs/cgroup/memory.current");
    if (limit > 0) available = std::min(available, limit > used ? limit - used : 0);
    return available;
}

ResidentMemory resident_memory() {
    return {.now = number_after("/proc/self/status", "VmRSS:") * 1024,
            .peak = number_after("/proc/self/status", "VmHWM:") * 1024};
}

Result<tensor::Buffer> HugePageSource::allocate(std::size_t size) {
    if (size < kHugePage) return tensor::HeapSource().allocate(size);
    const std::size_t wanted = round_up(size, kHugePage);
    // One huge page more than wanted, so that an aligned part can be kept; the rest goes back at
    // once.
    void* mapping = ::mmap(
        nullptr, wanted + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return fail(Errc::limit_exceeded,
                    "this machine has no " + std::to_string(size >> 20) +
                        " MiB of memory left for the model");
    auto* start = static_cast<std::byte*>(mapping);
    const auto address = reinterpret_cast<std::uintptr_t>(start);
    const std::size_t before = round_up(address, std::uintptr_t{kHugePage}) - address;
    if (before > 0) ::munmap(start, before);
    if (before < kHugePage) ::munmap(start + before + wanted, kHugePage - before);
    std::byte* data = start + before;
    ::madvise(data, wanted, MADV_HUGEPAGE);
    return tensor::Buffer(data, size, release_mapping);
}

}  // namespace kwaai::engine
