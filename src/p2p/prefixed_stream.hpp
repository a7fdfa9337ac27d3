// A stream of which some bytes were read too early.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include "io/stream.hpp"

namespace kwaai::p2p {

/// Reads give `first`, then what `stream` has; everything else is the stream's.
[[nodiscard]] std::unique_ptr<io::Stream> prefix_stream(std::unique_ptr<io::Stream> stream,
                                                        std::vector<std::byte> first);

}  // namespace kwaai::p2p
