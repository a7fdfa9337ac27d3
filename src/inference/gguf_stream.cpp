#include "inference/gguf_stream.hpp"

#include <algorithm>

namespace kwaai::inference {
namespace {

constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 20;

}  // namespace

Result<Bytes> GgufStream::take(std::uint64_t count) {
    if (count > remaining()) {
        return fail(Errc::malformed,
                    "truncated: " + std::to_string(count) + " bytes wanted at offset " +
                        std::to_string(position_) + ", " + std::to_string(remaining()) + " left");
    }
    if (count > kHeadBytesMax || position_ > kHeadBytesMax - count) {
        return fail(Errc::limit_exceeded,
                    "metadata and tensor list take more than " +
                        std::to_string(kHeadBytesMax >> 20) + " MiB");
    }
    const auto size = static_cast<std::size_t>(count);
    const std::uint64_t into_window = position_ - window_start_;
    if (into_window > window_.size() || size > window_.size() - into_window) {
        KWAAI_CHECKED(fetch(size));
    }
    const Bytes taken = window_.subspan(static_cast<std::size_t>(position_ - window_start_), size);
    position_ += count;
    return taken;
}

Result<void> GgufStream::fetch(std::size_t count) {
    const auto size = static_cast<std::size_t>(
        std::min<std::uint64_t>(remaining(), std::max<std::uint64_t>(count, kWindowBytes)));
    window_ = source_.view(position_, size);
    window_start_ = position_;
    if (window_.size() == size) return {};
    window_ = {};
    buffer_.resize(size);
    KWAAI_CHECKED(source_.read(position_, buffer_));
    window_ = buffer_;
    return {};
}

Result<std::string_view> GgufStream::text(std::string_view what, std::uint64_t bytes_max) {
    KWAAI_TRY(const auto size, read<std::uint64_t>());
    if (size > bytes_max) {
        return fail(Errc::malformed,
                    std::string(what) + " at offset " + std::to_string(position_) + " has " +
                        std::to_string(size) + " bytes; at most " + std::to_string(bytes_max) +
                        " are allowed");
    }
    KWAAI_TRY(const Bytes bytes, take(size));
    return as_text(bytes);
}

}  // namespace kwaai::inference
