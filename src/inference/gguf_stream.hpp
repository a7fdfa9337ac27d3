// Reads the head of a GGUF file front to back, whether its bytes are addressable or must be
// fetched.
#pragma once
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_source.hpp"
#include "base/result.hpp"

namespace kwaai::inference {

/// A cursor over a ByteSource. Looks at a mapped file in place; otherwise fetches windows of 1 MiB,
/// so that a remote file costs few requests. `Errc::malformed` past the end of the source,
/// `limit_exceeded` past kHeadBytesMax.
class GgufStream {
public:
    /// Metadata and tensor list of the largest vocabularies take 20 MiB.
    static constexpr std::uint64_t kHeadBytesMax = std::uint64_t{256} << 20;

    explicit GgufStream(const ByteSource& source) : source_(source), size_(source.size()) {}

    [[nodiscard]] std::uint64_t position() const { return position_; }

    [[nodiscard]] std::uint64_t remaining() const { return size_ - position_; }

    /// The next `count` bytes, valid until the next call.
    Result<Bytes> take(std::uint64_t count);

    /// The next little-endian number.
    template <class T>
        requires std::integral<T> || std::floating_point<T>
    Result<T> read() {
        KWAAI_TRY(const Bytes bytes, take(sizeof(T)));
        T value;
        std::memcpy(&value, bytes.data(), sizeof(T));
        return value;
    }

    /// A string: u64 length, then bytes of any content; valid until the next call. `what` names it
    /// in the error when it is longer than `bytes_max` or than the rest of the file.
    Result<std::string_view> text(std::string_view what, std::uint64_t bytes_max);

private:
    Result<void> fetch(std::size_t count);

    const ByteSource& source_;
    std::uint64_t size_;
    std::uint64_t position_ = 0;
    Bytes window_;  // the bytes at window_start_, in the source or in buffer_
    std::uint64_t window_start_ = 0;
    std::vector<std::byte> buffer_;
};

}  // namespace kwaai::inference
