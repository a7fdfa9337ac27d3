// Bytes that grow: what encoders write into.
#pragma once
#include <cstddef>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"

namespace kwaai::codec {

using Buffer = std::vector<std::byte>;

inline void append(Buffer& out, Bytes bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

inline void append(Buffer& out, std::string_view text) {
    append(out, as_bytes(text));
}

[[nodiscard]] inline Buffer to_buffer(Bytes bytes) {
    return {bytes.begin(), bytes.end()};
}

}  // namespace kwaai::codec
