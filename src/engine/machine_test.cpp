#include "engine/machine.hpp"

#include <thread>

#include <doctest/doctest.h>

namespace kwaai::engine {
namespace {

TEST_CASE("the machine has cores and memory") {
    CHECK(usable_cores() >= 1);
    CHECK(usable_cores() <= std::thread::hardware_concurrency());
    CHECK(available_memory() > 0);
    const ResidentMemory resident = resident_memory();
    CHECK(resident.now > 0);
    CHECK(resident.peak >= resident.now);
}

TEST_CASE("large buffers are aligned to 2 MB pages, small ones to cache lines, all are zero") {
    HugePageSource source;
    for (const std::size_t size : {1UL, 4096UL, (2UL << 20), (5UL << 20) + 3}) {
        const auto buffer = source.allocate(size);
        REQUIRE(buffer);
        CHECK(buffer->size() == size);
        const std::size_t alignment = size < (2UL << 20) ? 64 : 2UL << 20;
        CHECK(reinterpret_cast<std::uintptr_t>(buffer->data()) % alignment == 0);
        CHECK(buffer->data()[0] == std::byte{0});
        CHECK(buffer->data()[size - 1] == std::byte{0});
        buffer->data()[size - 1] = std::byte{1};
    }
}

TEST_CASE("an impossible size is an error that says how much was wanted") {
    HugePageSource source;
    const auto buffer = source.allocate(std::size_t{1} << 60);
    REQUIRE(!buffer);
    CHECK(buffer.error().code == Errc::limit_exceeded);
}

}  // namespace
}  // namespace kwaai::engine
