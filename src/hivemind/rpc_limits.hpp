// Sizes of calls.
#pragma once
#include <chrono>
#include <cstddef>

namespace kwaai::hivemind {

struct RpcLimits {
    std::size_t unary_bytes_max = std::size_t{4}
                                  << 20;  // the envelope; Hivemind's daemon has the same, inclusive
    std::size_t stream_message_bytes_max = std::size_t{64} << 20;
    std::size_t calls_max = 1024;  // handlers running at once, all peers
    std::size_t calls_per_peer_max = 128;
    // Memory of requests that are being read or wait for their handler
    std::size_t request_bytes_total_max = std::size_t{512} << 20;
    std::size_t request_bytes_per_peer_max = std::size_t{192} << 20;
    std::chrono::milliseconds request_timeout{
        30000};  // for the request of a unary call to arrive whole
};

}  // namespace kwaai::hivemind
