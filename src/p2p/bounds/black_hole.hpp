// Notices that a way to dial leads nowhere from here, e.g. IPv6 in a network that has none, or
// UDP where it is blocked
// (libp2p.md §1.26; go-libp2p's black hole detector).
#pragma once
#include <cstddef>
#include <deque>

#include "p2p/limits.hpp"

namespace kwaai::p2p {

/// Pure. Of the last Limits::black_hole_window dials fewer than black_hole_successes_min worked: no
/// more are made, but one in that many, to see whether it has changed.
class BlackHoleDetector {
public:
    explicit BlackHoleDetector(const Limits& limits) : limits_(limits) {}

    /// Whether the next dial is to be made. Counts the dials that are not.
    [[nodiscard]] bool may_dial();
    void dialled(bool has_worked);

    [[nodiscard]] bool is_black_hole() const;

private:
    Limits limits_;
    std::deque<bool> results_;
    std::size_t successes_ = 0;
    std::size_t refused_ = 0;
};

}  // namespace kwaai::p2p
