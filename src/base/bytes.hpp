// Spans of bytes and a bounded little-endian reader.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/result.hpp"

namespace kwaai {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

[[nodiscard]] inline Bytes as_bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

[[nodiscard]] inline std::string_view as_text(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Reads integers, floats and runs of bytes in little-endian order from a span it does not own.
/// Nothing is read past the end: `Errc::malformed` with what was wanted and what was left.
class ByteReader {
public:
    explicit ByteReader(Bytes bytes) : bytes_(bytes) {}

    [[nodiscard]] std::size_t position() const { return position_; }

    [[nodiscard]] std::size_t remaining() const { return bytes_.size() - position_; }

    /// The next `count` bytes; a view into the span.
    Result<Bytes> take(std::size_t count) {
        if (count > remaining()) return truncated(count);
        const Bytes taken = bytes_.subspan(position_, count);
        position_ += count;
        return taken;
    }

    /// The next value of a trivially copyable arithmetic type.
    template <class T>
        requires std::integral<T> || std::floating_point<T>
    Result<T> read() {
        if (sizeof(T) > remaining()) return truncated(sizeof(T));
        T value;
        std::memcpy(&value, bytes_.data() + position_, sizeof(T));
        position_ += sizeof(T);
        return value;
    }

private:
    [[nodiscard]] std::unexpected<Error> truncated(std::size_t wanted) const;

    Bytes bytes_;
    std::size_t position_ = 0;
};

}  // namespace kwaai
