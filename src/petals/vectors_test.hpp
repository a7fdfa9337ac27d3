// For the tests of this room: bytes that real peers made (petals-wire-vectors.txt).
#pragma once
#include <string>
#include <string_view>

#include "codec/buffer.hpp"
#include "petals/metadata.hpp"
#include "testing/hex.hpp"

namespace kwaai::petals {

using testing::from_hex;
using testing::to_hex;

inline constexpr const char* kSessionId = "00000000-0000-4000-8000-000000000001";
inline constexpr const char* kStepId = "00000000-0000-4000-8000-0000000000aa";

/// The metadata of a session's first request, max_length 64, start_from_position 0.
inline constexpr std::string_view kFirstMetadata =
    "87aa73657373696f6e5f6964d92430303030303030302d303030302d343030302d383030302d303030303030303030"
    "303031a7737465705f6964d92430303030303030302d303030302d343030302d383030302d30303030303030303030"
    "6161aa6d61785f6c656e67746840a6706f696e7473cb0000000000000000ae6163746976655f61646170746572c0ae"
    "617267735f737472756374757265c7184092c7134093c4045f5f5430c4045f5f5431c4045f5f543280b37374617274"
    "5f66726f6d5f706f736974696f6e00";

/// That of a later one, start_from_position 5.
inline constexpr std::string_view kNextMetadata =
    "84aa73657373696f6e5f6964d92430303030303030302d303030302d343030302d383030302d303030303030303030"
    "303031a7737465705f6964d92430303030303030302d303030302d343030302d383030302d30303030303030303030"
    "6161b373746172745f66726f6d5f706f736974696f6e05ae617267735f737472756374757265c7184092c7134093c4"
    "045f5f5430c4045f5f5431c4045f5f543280";

/// That of a push, session "S2".
inline constexpr std::string_view kPushedMetadata =
    "85aa73657373696f6e5f6964a25332a7737465705f6964d92430303030303030302d303030302d343030302d383030"
    "302d303030303030303030306161ac6e6578745f7365727665727390ae617267735f737472756374757265c7184092"
    "c7134093c4045f5f5430c4045f5f5431c4045f5f543280a6707573686564c3";

inline SentStep first_step() {
    return {.session_id = kSessionId,
            .step_id = kStepId,
            .max_length = 64,
            .start_from_position = 0,
            .tensor_count = 3};
}

}  // namespace kwaai::petals
