#include "p2p/security/noise_records.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kReadBytesMax = 2 * kRecordBytesMax;

// Gives memory back after a burst.
void shrink_if_quiet(codec::Buffer& buffer, std::size_t quiet) {
    if (quiet >= kQuietTimes && buffer.size() > kIdleBytes) buffer = codec::Buffer(kIdleBytes);
}

}  // namespace

PartsReader::PartsReader(std::span<const Bytes> parts) : parts_(parts) {
    for (const Bytes part : parts_)
        remaining_ += part.size();
}

Bytes PartsReader::take(std::size_t count, MutableBytes scratch) {
    KWAAI_CHECK(count <= remaining_ && count <= scratch.size(), "more bytes than the parts have");
    remaining_ -= count;
    std::size_t copied = 0;
    for (;;) {
        while (!parts_.empty() && offset_ == parts_.front().size()) {
            parts_ = parts_.subspan(1);
            offset_ = 0;
        }
        if (copied == count) return scratch.first(copied);
        const Bytes rest = parts_.front().subspan(offset_);
        const Bytes taken = rest.first(std::min(rest.size(), count - copied));
        offset_ += taken.size();
        if (taken.size() == count) return taken;
        std::ranges::copy(taken, scratch.subspan(copied).begin());
        copied += taken.size();
    }
}

Result<Bytes> RecordSealer::next_flight(PartsReader& parts) {
    const codec::Buffer held = std::exchange(held_, {});
    const std::size_t plain_bytes =
        std::min(parts.remaining(), kRecordsPerFlight * kNoisePlainBytesMax);
    const std::size_t records = (plain_bytes + kNoisePlainBytesMax - 1) / kNoisePlainBytesMax;
    const std::size_t flight_bytes =
        held.size() + plain_bytes + records * (kNoiseLengthBytes + crypto::kTagBytes);
    quiet_ = flight_bytes <= kIdleBytes ? quiet_ + 1 : 0;
    shrink_if_quiet(flight_, quiet_);
    if (flight_.size() < flight_bytes) flight_.resize(std::max(flight_bytes, kIdleBytes));

    const MutableBytes flight = MutableBytes(flight_).first(flight_bytes);
    std::ranges::copy(held, flight.begin());
    std::size_t filled = held.size();
    while (filled < flight_bytes) {
        const std::size_t count = std::min(parts.remaining(), kNoisePlainBytesMax);
        const std::size_t sealed_bytes = count + crypto::kTagBytes;
        flight[filled] = static_cast<std::byte>(sealed_bytes >> 8);
        flight[filled + 1] = static_cast<std::byte>(sealed_bytes & 0xff);
        const MutableBytes sealed = flight.subspan(filled + kNoiseLengthBytes, sealed_bytes);
        const Bytes plain = parts.take(count, sealed.first(count));
        KWAAI_CHECKED(cipher_.seal(Bytes(), plain, sealed));
        filled += kNoiseLengthBytes + sealed_bytes;
    }
    return flight;
}

RecordOpener::RecordOpener(NoiseCipher cipher, Bytes residue)
    : cipher_(std::move(cipher)), buffer_(codec::to_buffer(residue)), end_(residue.size()) {}

MutableBytes RecordOpener::space() {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_),
              buffer_.begin());
    end_ -= std::exchange(begin_, 0);
    if (end_ == 0) shrink_if_quiet(buffer_, quiet_);
    std::size_t wanted = std::max({kIdleBytes, frame_bytes(), end_ + 1});
    if (is_busy_) wanted = std::clamp(2 * buffer_.size(), wanted, kReadBytesMax);
    if (buffer_.size() < wanted) buffer_.resize(wanted);
    return MutableBytes(buffer_).subspan(end_);
}

void RecordOpener::commit(std::size_t count) {
    KWAAI_CHECK(count <= buffer_.size() - end_, "more bytes committed than there was space");
    end_ += count;
    quiet_ = end_ <= kIdleBytes ? quiet_ + 1 : 0;
    is_busy_ = end_ == buffer_.size();
}

Result<std::optional<Bytes>> RecordOpener::next(MutableBytes into) {
    for (;;) {
        if (end_ - begin_ < kNoiseLengthBytes || end_ - begin_ < frame_bytes()) return std::nullopt;
        const MutableBytes frame = MutableBytes(buffer_).subspan(begin_, frame_bytes());
        begin_ += frame.size();
        const MutableBytes sealed = frame.subspan(kNoiseLengthBytes);
        if (sealed.size() < crypto::kTagBytes)
            return fail(Errc::malformed,
                        "a record of " + std::to_string(sealed.size()) + " bytes has no tag");
        const std::size_t plain_bytes = sealed.size() - crypto::kTagBytes;
        const MutableBytes plain =
            plain_bytes <= into.size() ? into.first(plain_bytes) : sealed.first(plain_bytes);
        KWAAI_CHECKED(cipher_.open(Bytes(), sealed, plain));
        if (!plain.empty()) return plain;  // an empty record means nothing
    }
}

std::size_t RecordOpener::frame_bytes() const {
    if (end_ - begin_ < kNoiseLengthBytes) return kNoiseLengthBytes;
    const auto high = std::to_integer<std::size_t>(buffer_[begin_]);
    const auto low = std::to_integer<std::size_t>(buffer_[begin_ + 1]);
    return kNoiseLengthBytes + (high << 8 | low);
}

}  // namespace kwaai::p2p
