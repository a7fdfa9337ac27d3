// Keys and values of sequences, in pages of 64 positions that cover all blocks of a span. Pages are
// counted: a fork shares them, the first write to a shared page copies it.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "kernels/attention.hpp"
#include "tensor/buffer.hpp"

namespace kwaai::inference {

/// What a page must hold.
struct KvGeometry {
    std::uint32_t blocks = 0;
    std::uint32_t kv_heads = 0;
    std::uint32_t head_dim = 0;

    /// head_dim rounded up to 16 lanes; the padding stays zero.
    [[nodiscard]] std::size_t padded_dim() const { return (head_dim + 15) / 16 * std::size_t{16}; }

    /// Bytes of a page: K and V of 64 positions, all blocks and heads, f16.
    [[nodiscard]] std::size_t page_bytes() const {
        return std::size_t{blocks} * kv_heads * 2 * kernels::kPagePositions * padded_dim() *
               sizeof(std::uint16_t);
    }
};

/// Owns the pages; grows on demand up to a limit. Confined to one thread at a time. Outlives its
/// sequences.
class KvPool {
public:
    using PageId = std::uint32_t;

    KvPool(KvGeometry geometry, std::size_t pages_max, tensor::BufferSource& memory);

    [[nodiscard]] const KvGeometry& geometry() const { return geometry_; }

    [[nodiscard]] std::size_t pages_max() const { return pages_max_; }

    [[nodiscard]] std::size_t pages_used() const { return pages_.size() - free_.size(); }

    /// A page with one owner; cells are zero or finite leftovers. `Errc::limit_exceeded` when all
    /// are in use or there is no memory.
    Result<PageId> acquire();

    void retain(PageId page) { ++pages_[page].owners; }

    void release(PageId page);

    [[nodiscard]] bool is_shared(PageId page) const { return pages_[page].owners > 1; }

    /// K of one head in a page: [64 / 16][padded_dim][16] halves. V: [64][padded_dim] halves.
    [[nodiscard]] std::uint16_t* k(PageId page, std::size_t block, std::size_t head) const;
    [[nodiscard]] std::uint16_t* v(PageId page, std::size_t block, std::size_t head) const;
    void copy(PageId from, PageId to);

private:
    struct Page {
        std::byte* data;
        std::uint32_t owners;
    };

    KvGeometry geometry_;
    std::size_t pages_max_;
    tensor::BufferSource& memory_;
    std::vector<tensor::Buffer> slabs_;
    std::vector<Page> pages_;
    std::vector<PageId> free_;
};

/// The keys and values of one sequence. Movable; releases its pages when destroyed.
class KvSequence {
public:
    explicit KvSequence(KvPool& pool) : pool_(&pool) {}

    KvSequence(KvSequence&& other) noexcept;
    KvSequence& operator=(KvSequence&& other) noexcept;
    KvSequence(const KvSequence&) = delete;
    KvSequence& operator=(const KvSequence&) = delete;

    ~KvSequence() { truncate(0); }

    /// Positions that hold keys and values.
    [[nodiscard]] std::uint32_t length() const { return length_; }

    [[nodiscard]] KvPool& pool() const { return *pool_; }

    [[nodiscard]] std::span<const KvPool::PageId> pages() const { return pages_; }

    /// Makes positions [length, end) writable: acquires pages and copies a shared one. On an error
    /// (see acquire) the sequence is as before.
    Result<void> reserve(std::uint32_t end);
    /// Says that positions up to `end` (reserved before) have been written.
    void advance(std::uint32_t end);
    /// Forgets positions from `length` on; no effect when it is shorter already.
    void truncate(std::uint32_t length);
    /// A second sequence with the same past; pages are shared until one of them writes.
    [[nodiscard]] KvSequence fork() const;

private:
    KvPool* pool_;
    std::vector<KvPool::PageId> pages_;
    std::uint32_t length_ = 0;
};

}  // namespace kwaai::inference
