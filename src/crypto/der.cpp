#include "crypto/der.hpp"

#include "base/check.hpp"

namespace kwaai::crypto::detail {
namespace {

constexpr std::size_t kShortLengthMax = 0x7f;
constexpr std::size_t kLengthMax = 0xffff;

struct Length {
    std::size_t value = 0;
    std::size_t size = 0;  // bytes it took
};

std::optional<Length> read_length(Bytes bytes) {
    if (bytes.empty()) return std::nullopt;
    const auto first = std::to_integer<std::size_t>(bytes[0]);
    if (first <= kShortLengthMax) return Length{first, 1};
    const std::size_t count = first & 0x7f;
    if (count < 1 || count > 2 || bytes.size() <= count) return std::nullopt;
    std::size_t value = 0;
    for (std::size_t i = 1; i <= count; ++i)
        value = value << 8 | std::to_integer<std::size_t>(bytes[i]);
    const std::size_t least = count == 1 ? kShortLengthMax + 1 : 0x100;
    if (value < least) return std::nullopt;
    return Length{value, 1 + count};
}

}  // namespace

std::optional<Bytes> DerReader::element(std::uint8_t tag) {
    if (rest_.empty() || std::to_integer<std::uint8_t>(rest_[0]) != tag) return std::nullopt;
    const std::optional<Length> length = read_length(rest_.subspan(1));
    if (!length) return std::nullopt;
    const Bytes behind = rest_.subspan(1 + length->size);
    if (length->value > behind.size()) return std::nullopt;
    rest_ = behind.subspan(length->value);
    return behind.first(length->value);
}

std::optional<Bytes> DerReader::unsigned_integer() {
    const Bytes before = rest_;
    const std::optional<Bytes> content = element(kDerInteger);
    if (!content) return std::nullopt;
    const auto at = [&](std::size_t i) {
        return std::to_integer<unsigned>((*content)[i]);
    };
    const bool is_negative = content->empty() || at(0) >= 0x80;
    const bool is_padded = content->size() > 1 && at(0) == 0 && at(1) < 0x80;
    if (is_negative || is_padded) {
        rest_ = before;
        return std::nullopt;
    }
    return content->subspan(at(0) == 0 ? 1 : 0);
}

void append_der(SecretBytes& out, std::uint8_t tag, Bytes content) {
    const std::size_t size = content.size();
    KWAAI_CHECK(size <= kLengthMax, "a DER element of ours is small");
    out.push_back(std::byte{tag});
    if (size > 0xff) {
        out.push_back(std::byte{0x82});
        out.push_back(static_cast<std::byte>(size >> 8));
    } else if (size > kShortLengthMax) {
        out.push_back(std::byte{0x81});
    }
    out.push_back(static_cast<std::byte>(size & 0xff));
    out.insert(out.end(), content.begin(), content.end());
}

}  // namespace kwaai::crypto::detail
