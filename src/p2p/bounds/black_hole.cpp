#include "p2p/bounds/black_hole.hpp"

namespace kwaai::p2p {

bool BlackHoleDetector::is_black_hole() const {
    return results_.size() >= limits_.black_hole_window &&
           successes_ < limits_.black_hole_successes_min;
}

bool BlackHoleDetector::may_dial() {
    if (!is_black_hole()) return true;
    if (++refused_ < limits_.black_hole_window) return false;
    refused_ = 0;
    return true;
}

void BlackHoleDetector::dialled(bool has_worked) {
    // One that works again says more than the hundred before it.
    if (has_worked && is_black_hole()) {
        results_.clear();
        successes_ = 0;
    }
    results_.push_back(has_worked);
    if (has_worked) ++successes_;
    if (results_.size() <= limits_.black_hole_window) return;
    if (results_.front()) --successes_;
    results_.pop_front();
}

}  // namespace kwaai::p2p
