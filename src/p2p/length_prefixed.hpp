// Messages behind a varint length, as most libp2p protocols send them.
#pragma once
#include <optional>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"

namespace kwaai::p2p {

/// The next message; nothing where the stream ends before its first byte. Reads not one byte more.
/// `Errc::limit_exceeded` for more than `bytes_max`, `malformed` for a length that is no varint,
/// `closed` where the stream ends inside it. Memory grows with what arrives.
io::Task<Result<std::optional<codec::Buffer>>> read_length_prefixed(io::Stream& stream,
                                                                    std::size_t bytes_max);

/// Writes one. `message` is kept alive by the caller. Errors of Stream::write.
io::Task<Result<>> write_length_prefixed(io::Stream& stream, Bytes message);

}  // namespace kwaai::p2p
