#include "inference/kv_cache.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.hpp"

namespace kwaai::inference {
namespace {

constexpr std::size_t kSlabBytes = std::size_t{8}
                                   << 20;  // pages are allocated by the slab, for 2 MB pages

std::size_t pages_for(std::uint32_t length) {
    return (std::size_t{length} + kernels::kPagePositions - 1) / kernels::kPagePositions;
}

}  // namespace

KvPool::KvPool(KvGeometry geometry, std::size_t pages_max, tensor::BufferSource& memory)
    : geometry_(geometry), pages_max_(pages_max), memory_(memory) {
    KWAAI_CHECK(geometry.page_bytes() > 0, "a page of a KV pool must not be empty");
}

Result<KvPool::PageId> KvPool::acquire() {
    if (free_.empty()) {
        const std::size_t left = pages_max_ - pages_.size();
        if (left == 0)
            return fail(Errc::limit_exceeded,
                        "the key/value cache is full: all " + std::to_string(pages_max_) +
                            " pages of " + std::to_string(kernels::kPagePositions) +
                            " positions are in use");
        const std::size_t page_bytes = geometry_.page_bytes();
        const std::size_t count = std::clamp<std::size_t>(kSlabBytes / page_bytes, 1, left);
        KWAAI_TRY(tensor::Buffer slab, memory_.allocate(count * page_bytes));
        for (std::size_t i = count; i-- > 0;) {
            free_.push_back(static_cast<PageId>(pages_.size() + i));
        }
        for (std::size_t i = 0; i < count; ++i)
            pages_.push_back({slab.data() + i * page_bytes, 0});
        slabs_.push_back(std::move(slab));
    }
    const PageId page = free_.back();
    free_.pop_back();
    pages_[page].owners = 1;
    return page;
}

void KvPool::release(PageId page) {
    KWAAI_CHECK(pages_[page].owners > 0, "a page was released twice");
    if (--pages_[page].owners == 0) free_.push_back(page);
}

std::uint16_t* KvPool::k(PageId page, std::size_t block, std::size_t head) const {
    const std::size_t halves = kernels::kPagePositions * geometry_.padded_dim();
    return reinterpret_cast<std::uint16_t*>(pages_[page].data) +
           (block * geometry_.kv_heads + head) * 2 * halves;
}

std::uint16_t* KvPool::v(PageId page, std::size_t block, std::size_t head) const {
    return k(page, block, head) + kernels::kPagePositions * geometry_.padded_dim();
}

void KvPool::copy(PageId from, PageId to) {
    std::memcpy(pages_[to].data, pages_[from].data, geometry_.page_bytes());
}

KvSequence::KvSequence(KvSequence&& other) noexcept
    : pool_(other.pool_),
      pages_(std::exchange(other.pages_, {})),
      length_(std::exchange(other.length_, 0)) {}

KvSequence& KvSequence::operator=(KvSequence&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(pages_, other.pages_);
    std::swap(length_, other.length_);
    return *this;
}

Result<void> KvSequence::reserve(std::uint32_t end) {
    KWAAI_CHECK(end >= length_, "reserve does not shorten a sequence");
    const std::size_t before = pages_.size();
    const std::size_t tail =
        length_ / kernels::kPagePositions;  // the page that the next position falls into
    if (end > length_ && tail < before && pool_->is_shared(pages_[tail])) {
        KWAAI_TRY(const KvPool::PageId own, pool_->acquire());
        pool_->copy(pages_[tail], own);
        pool_->release(std::exchange(pages_[tail], own));
    }
    while (pages_.size() < pages_for(end)) {
        auto page = pool_->acquire();
        if (!page) {
            while (pages_.size() > before) {
                pool_->release(pages_.back());
                pages_.pop_back();
            }
            return forward_error(page);
        }
        pages_.push_back(*page);
    }
    return {};
}

void KvSequence::advance(std::uint32_t end) {
    KWAAI_CHECK(end >= length_ && pages_for(end) <= pages_.size(), "positions were not reserved");
    length_ = end;
}

void KvSequence::truncate(std::uint32_t length) {
    length_ = std::min(length_, length);
    while (pages_.size() > pages_for(length_)) {
        pool_->release(pages_.back());
        pages_.pop_back();
    }
}

KvSequence KvSequence::fork() const {
    KvSequence other(*pool_);
    const std::size_t count = pages_for(length_);
    other.pages_.assign(pages_.begin(), pages_.begin() + static_cast<std::ptrdiff_t>(count));
    for (const KvPool::PageId page : other.pages_)
        pool_->retain(page);
    other.length_ = length_;
    return other;
}

}  // namespace kwaai::inference
