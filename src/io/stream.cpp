#include "io/stream.hpp"

namespace kwaai::io {

Task<Result<>> Stream::write(Bytes bytes) {
    const std::span<const Bytes> parts(&bytes, 1);
    Result<> written = co_await write(parts);
    co_return written;
}

}  // namespace kwaai::io
