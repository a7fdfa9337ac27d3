#include "p2p/length_prefixed.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "codec/varint.hpp"
#include "io/read_exactly.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kStepBytes = std::size_t{64} << 10;

io::Task<Result<std::optional<std::uint64_t>>> read_length(io::Stream& stream) {
    std::array<std::byte, codec::kVarintBytesMax> bytes{};
    for (std::size_t filled = 0; filled < bytes.size(); ++filled) {
        const MutableBytes next = std::span(bytes).subspan(filled, 1);
        KWAAI_CO_TRY(const std::size_t count, co_await stream.read_some(next));
        if (count == 0) {
            if (filled == 0) co_return std::optional<std::uint64_t>();
            co_return fail(Errc::closed, "the stream ended inside the length of a message");
        }
        KWAAI_CO_TRY(const std::optional<codec::Varint> length,
                     codec::read_varint(std::span(bytes).first(filled + 1)));
        if (length) co_return std::optional<std::uint64_t>(length->value);
    }
    co_return fail(Errc::malformed, "the length of a message is no varint");
}

}  // namespace

io::Task<Result<std::optional<codec::Buffer>>> read_length_prefixed(io::Stream& stream,
                                                                    std::size_t bytes_max) {
    KWAAI_CO_TRY(const std::optional<std::uint64_t> length, co_await read_length(stream));
    if (!length) co_return std::optional<codec::Buffer>();
    if (*length > bytes_max)
        co_return fail(Errc::limit_exceeded,
                       "a message of " + std::to_string(*length) + " bytes; at most " +
                           std::to_string(bytes_max) + " are taken");
    codec::Buffer message;
    const auto size = static_cast<std::size_t>(*length);
    while (message.size() < size) {
        const std::size_t begin = message.size();
        message.resize(begin + std::min(kStepBytes, size - begin));
        const MutableBytes part = std::span(message).subspan(begin);
        KWAAI_CO_CHECKED(co_await io::read_exactly(stream, part));
    }
    co_return std::optional<codec::Buffer>(std::move(message));
}

io::Task<Result<>> write_length_prefixed(io::Stream& stream, Bytes message) {
    codec::Buffer framed;
    codec::append_varint(framed, message.size());
    codec::append(framed, message);
    const Bytes bytes(framed);
    Result<> written = co_await stream.write(bytes);
    co_return written;
}

}  // namespace kwaai::p2p
