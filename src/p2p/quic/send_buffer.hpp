// Bytes of a stream from when they were written until the peer has acknowledged them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "base/bytes.hpp"
#include "p2p/muxer/receive_buffer.hpp"

namespace kwaai::p2p {

/// Pure. Bytes do not move while they are held, since they may have to be sent again.
class SendBuffer {
public:
    /// @param pool outlives the buffer
    explicit SendBuffer(ChunkPool& pool) : pool_(&pool) {}

    SendBuffer(const SendBuffer&) = delete;
    SendBuffer& operator=(const SendBuffer&) = delete;

    ~SendBuffer() { clear(); }

    /// Held: unacknowledged and unsent.
    [[nodiscard]] std::size_t size() const { return end_ - begin_; }

    [[nodiscard]] std::size_t unsent_size() const { return end_ - sent_; }

    /// How many of the bytes were taken: fewer where there is no memory.
    [[nodiscard]] std::size_t append(Bytes bytes);
    /// The first unsent bytes that lie together; empty where all are sent.
    [[nodiscard]] Bytes unsent() const;

    /// @param count at most unsent().size()
    void mark_sent(std::size_t count) { sent_ += count; }

    /// All up to this offset in the stream have arrived.
    void acknowledge(std::uint64_t offset);
    void clear();

private:
    using Chunk = ChunkPool::Chunk;

    ChunkPool* pool_;
    std::deque<std::unique_ptr<Chunk>> chunks_;  // all full but the last
    std::uint64_t first_ = 0;                    // offset of the first chunk's first byte
    std::uint64_t begin_ = 0;                    // the first that is not acknowledged
    std::uint64_t sent_ = 0;
    std::uint64_t end_ = 0;
};

}  // namespace kwaai::p2p
