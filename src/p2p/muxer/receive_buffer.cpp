#include "p2p/muxer/receive_buffer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace kwaai::p2p {
namespace {

constexpr std::size_t kFreeMax = 64;    // 1 MiB until the next trim()
constexpr std::size_t kBusyTakes = 16;  // fewer since the last trim(): nothing is kept

}  // namespace

ChunkPool::~ChunkPool() {
    trim();
}

std::unique_ptr<ChunkPool::Chunk> ChunkPool::take() {
    ++taken_;
    if (!free_) {
        if (account_ != nullptr && !account_->reserve(sizeof(Chunk))) return nullptr;
        ++in_use_;
        return std::make_unique_for_overwrite<Chunk>();
    }
    ++in_use_;
    std::unique_ptr<Chunk> chunk = std::move(free_);
    free_ = std::move(chunk->next);
    --free_count_;
    return chunk;
}

void ChunkPool::give(std::unique_ptr<Chunk> chunk) {
    --in_use_;
    if (taken_ < kBusyTakes || free_count_ == kFreeMax) {
        if (account_ != nullptr) account_->release(sizeof(Chunk));
        return;
    }
    chunk->begin = chunk->end = 0;
    chunk->next = std::move(free_);
    free_ = std::move(chunk);
    ++free_count_;
}

void ChunkPool::trim() {
    if (account_ != nullptr && free_count_ > 0) account_->release(free_count_ * sizeof(Chunk));
    while (free_)
        free_ = std::move(free_->next);
    free_count_ = 0;
    taken_ = 0;
}

bool ReceiveBuffer::append(Bytes bytes) {
    while (!bytes.empty()) {
        if (last_ == nullptr || last_->end == last_->bytes.size()) {
            std::unique_ptr<ChunkPool::Chunk> chunk = pool_->take();
            if (!chunk) return false;
            ChunkPool::Chunk* const added = chunk.get();
            (last_ == nullptr ? first_ : last_->next) = std::move(chunk);
            last_ = added;
        }
        const std::size_t count = std::min(bytes.size(), last_->bytes.size() - last_->end);
        std::memcpy(last_->bytes.data() + last_->end, bytes.data(), count);
        last_->end += static_cast<std::uint32_t>(count);
        size_ += count;
        bytes = bytes.subspan(count);
    }
    return true;
}

std::size_t ReceiveBuffer::read(MutableBytes into) {
    std::size_t done = 0;
    while (first_ && done < into.size()) {
        const std::size_t count =
            std::min<std::size_t>(into.size() - done, first_->end - first_->begin);
        std::memcpy(into.data() + done, first_->bytes.data() + first_->begin, count);
        first_->begin += static_cast<std::uint32_t>(count);
        done += count;
        if (first_->begin == first_->end) drop_first();
    }
    size_ -= done;
    return done;
}

void ReceiveBuffer::clear() {
    while (first_)
        drop_first();
    size_ = 0;
}

void ReceiveBuffer::drop_first() {
    std::unique_ptr<ChunkPool::Chunk> dropped = std::move(first_);
    first_ = std::move(dropped->next);
    if (!first_) last_ = nullptr;
    pool_->give(std::move(dropped));
}

}  // namespace kwaai::p2p
