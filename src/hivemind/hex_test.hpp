// Bytes in tests, as hexadecimal text.
#pragma once
#include <string_view>

#include <doctest/doctest.h>

#include "codec/buffer.hpp"
#include "codec/multibase.hpp"

namespace kwaai::hivemind {

inline codec::Buffer from_hex(std::string_view text) {
    codec::Buffer bytes;
    for (; !text.empty(); text.remove_prefix(std::min<std::size_t>(4096, text.size()))) {
        const auto piece = codec::decode_base(codec::Base::base16, text.substr(0, 4096));
        REQUIRE_MESSAGE(piece.has_value(), "not hexadecimal: ", text.substr(0, 80));
        codec::append(bytes, *piece);
    }
    return bytes;
}

inline std::string to_hex(Bytes bytes) {
    std::string text;
    for (; !bytes.empty(); bytes = bytes.subspan(std::min<std::size_t>(1024, bytes.size())))
        text += codec::encode_base(codec::Base::base16,
                                   bytes.first(std::min<std::size_t>(1024, bytes.size())));
    return text;
}

}  // namespace kwaai::hivemind
