// Where memory is accounted that a peer can make us hold.
#pragma once
#include <cstddef>

namespace kwaai::p2p {

class MemoryAccount {
public:
    MemoryAccount() = default;
    MemoryAccount(const MemoryAccount&) = delete;
    MemoryAccount& operator=(const MemoryAccount&) = delete;
    virtual ~MemoryAccount() = default;

    /// False, and nothing is taken, where that would pass a limit.
    [[nodiscard]] virtual bool reserve(std::size_t bytes) = 0;
    /// What was reserved, in pieces of any size.
    virtual void release(std::size_t bytes) = 0;
    /// Whether there is so much room that windows may grow.
    [[nodiscard]] virtual bool has_room_to_grow() const = 0;
};

}  // namespace kwaai::p2p
