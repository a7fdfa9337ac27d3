// Bytes between two peers that a third one passes on.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "io/stream.hpp"

namespace kwaai::p2p {

/// What a relay grants a circuit; nothing at all where it sets no limit.
struct CircuitLimit {
    std::chrono::seconds duration{0};  // 0: as long as it lasts
    std::uint64_t bytes = 0;           // each way; 0: as many as there are

    bool operator==(const CircuitLimit&) const = default;
};

/// Bytes to a peer by way of another one.
struct Circuit {
    std::unique_ptr<io::Stream> stream;
    std::optional<CircuitLimit> limit;
};

}  // namespace kwaai::p2p
