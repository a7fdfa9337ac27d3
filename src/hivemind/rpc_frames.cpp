#include "hivemind/rpc_frames.hpp"

#include <string>
#include <utility>
#include <vector>

namespace kwaai::hivemind {

io::Task<Result<>> write_message(io::Stream& stream,
                                 std::span<const Bytes> parts,
                                 std::size_t bytes_max) {
    std::size_t size = 0;
    for (const Bytes part : parts)
        size += part.size();
    if (size > bytes_max)
        co_return fail(Errc::limit_exceeded,
                       "a message of " + std::to_string(size) + " bytes, at most " +
                           std::to_string(bytes_max) + " are sent");
    const FrameHeader header = encode_frame_header(FrameKind::message, size);
    std::vector<Bytes> all;
    all.reserve(parts.size() + 1);
    all.emplace_back(header);
    all.insert(all.end(), parts.begin(), parts.end());
    Result<> written = co_await stream.write(all);
    co_return written;
}

io::Task<Result<std::optional<Frame>>> read_frame(io::Stream& stream, FrameReader& reader) {
    for (;;) {
        const MutableBytes space = reader.space();
        Result<std::size_t> count = co_await stream.read_some(space);
        if (!count) co_return forward_error(count);
        if (*count == 0) {
            if (reader.is_between_frames()) co_return std::optional<Frame>();
            co_return fail(Errc::closed, "the stream ended inside a message");
        }
        KWAAI_CO_TRY(const bool is_whole, reader.advance(*count));
        if (is_whole) co_return std::optional<Frame>(reader.take());
    }
}

}  // namespace kwaai::hivemind
