// Bytes that have arrived and were not read yet, in pieces of one size that are used again.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bytes.hpp"
#include "p2p/bounds/memory_account.hpp"

namespace kwaai::p2p {

/// The pieces of all receive buffers of a connection, accounted where there is an account. A few
/// that are free are kept while many are used.
class ChunkPool {
public:
    struct Chunk {
        std::unique_ptr<Chunk> next;
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
        std::array<std::byte, (16 << 10) - 16> bytes;
    };

    /// @param account outlives the pool; may be null
    explicit ChunkPool(MemoryAccount* account = nullptr) : account_(account) {}

    ChunkPool(const ChunkPool&) = delete;
    ChunkPool& operator=(const ChunkPool&) = delete;
    ~ChunkPool();

    /// An empty chunk; null where the account refuses it.
    [[nodiscard]] std::unique_ptr<Chunk> take();
    void give(std::unique_ptr<Chunk> chunk);
    /// Gives the free ones back to the system.
    void trim();

    /// Of the chunks that are in use.
    [[nodiscard]] std::size_t bytes_in_use() const { return in_use_ * sizeof(Chunk); }

private:
    MemoryAccount* account_;
    std::unique_ptr<Chunk> free_;
    std::size_t free_count_ = 0;
    std::size_t in_use_ = 0;
    std::size_t taken_ = 0;  // since the last trim()
};

/// First in, first out. Holds no memory while it is empty.
class ReceiveBuffer {
public:
    /// @param pool outlives the buffer
    explicit ReceiveBuffer(ChunkPool& pool) : pool_(&pool) {}

    ReceiveBuffer(const ReceiveBuffer&) = delete;
    ReceiveBuffer& operator=(const ReceiveBuffer&) = delete;

    ~ReceiveBuffer() { clear(); }

    [[nodiscard]] std::size_t size() const { return size_; }

    /// False where there is no memory for all of it.
    [[nodiscard]] bool append(Bytes bytes);
    /// Moves as many bytes as there are and fit to the front of `into`; returns how many.
    std::size_t read(MutableBytes into);
    void clear();

private:
    void drop_first();

    ChunkPool* pool_;
    std::unique_ptr<ChunkPool::Chunk> first_;
    ChunkPool::Chunk* last_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace kwaai::p2p
