// A fuzzer's input as a list of deeds.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"

namespace kwaai::testing {

/// Gives out bytes that it does not own, from the front; zeros once there are none left.
class Script {
public:
    explicit Script(Bytes bytes) : bytes_(bytes) {}

    [[nodiscard]] bool is_empty() const { return bytes_.empty(); }

    std::uint8_t next() {
        if (bytes_.empty()) return 0;
        const auto value = std::to_integer<std::uint8_t>(bytes_.front());
        bytes_ = bytes_.subspan(1);
        return value;
    }

    /// At most `count`: as many as there are.
    Bytes take(std::size_t count) {
        const Bytes taken = bytes_.first(std::min(count, bytes_.size()));
        bytes_ = bytes_.subspan(taken.size());
        return taken;
    }

private:
    Bytes bytes_;
};

}  // namespace kwaai::testing
