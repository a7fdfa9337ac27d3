#include "p2p/quic/send_buffer.hpp"

#include <algorithm>
#include <utility>

namespace kwaai::p2p {
namespace {

constexpr std::size_t kPieceBytes = sizeof(ChunkPool::Chunk::bytes);

}  // namespace

std::size_t SendBuffer::append(Bytes bytes) {
    std::size_t taken = 0;
    while (taken < bytes.size()) {
        if (chunks_.empty() || chunks_.back()->end == kPieceBytes) {
            std::unique_ptr<Chunk> fresh = pool_->take();
            if (fresh == nullptr) break;
            if (chunks_.empty()) first_ = end_;
            chunks_.push_back(std::move(fresh));
        }
        Chunk& chunk = *chunks_.back();
        const std::size_t count = std::min(bytes.size() - taken, kPieceBytes - chunk.end);
        std::ranges::copy(bytes.subspan(taken, count), chunk.bytes.begin() + chunk.end);
        chunk.end += static_cast<std::uint32_t>(count);
        taken += count;
        end_ += count;
    }
    return taken;
}

Bytes SendBuffer::unsent() const {
    if (sent_ == end_) return {};
    const std::size_t at = sent_ - first_;
    const Chunk& chunk = *chunks_[at / kPieceBytes];
    return Bytes(chunk.bytes).first(chunk.end).subspan(at % kPieceBytes);
}

void SendBuffer::acknowledge(std::uint64_t offset) {
    begin_ = std::clamp(offset, begin_, sent_);
    while (!chunks_.empty() && first_ + chunks_.front()->end <= begin_ &&
           (chunks_.size() > 1 || begin_ == end_)) {
        first_ += chunks_.front()->end;
        pool_->give(std::move(chunks_.front()));
        chunks_.pop_front();
    }
}

void SendBuffer::clear() {
    for (std::unique_ptr<Chunk>& chunk : chunks_)
        pool_->give(std::move(chunk));
    chunks_.clear();
    begin_ = sent_ = first_ = end_;
}

}  // namespace kwaai::p2p
