// Memory that is wiped when it is freed.
#pragma once
#include <cstddef>
#include <vector>

#include "base/bytes.hpp"

namespace kwaai::crypto {

/// Overwrites memory in a way that the compiler may not drop.
void wipe(MutableBytes bytes);

template <class T>
struct WipingAllocator {
    using value_type = T;

    WipingAllocator() = default;

    template <class U>
    explicit WipingAllocator(const WipingAllocator<U>&) {}

    T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }

    void deallocate(T* data, std::size_t count) {
        wipe(std::as_writable_bytes(std::span(data, count)));
        std::allocator<T>().deallocate(data, count);
    }

    template <class U>
    bool operator==(const WipingAllocator<U>&) const {
        return true;
    }
};

using SecretBytes = std::vector<std::byte, WipingAllocator<std::byte>>;

}  // namespace kwaai::crypto
