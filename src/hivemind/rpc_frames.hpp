// Frames over streams: what both ends of streaming calls share.
#pragma once
#include <optional>
#include <span>

#include "base/result.hpp"
#include "hivemind/rpc_wire.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"

namespace kwaai::hivemind {

/// One message frame with the parts behind each other as its payload, in one write.
/// `Errc::limit_exceeded` where they have more than `bytes_max` bytes, and nothing is written.
io::Task<Result<>> write_message(io::Stream& stream,
                                 std::span<const Bytes> parts,
                                 std::size_t bytes_max);

/// The next frame; nothing where the stream ends between frames, `Errc::closed` where it ends
/// inside one, else the errors of FrameReader and of the stream. Cancellation loses no byte: the
/// next call goes on with the same reader.
io::Task<Result<std::optional<Frame>>> read_frame(io::Stream& stream, FrameReader& reader);

}  // namespace kwaai::hivemind
