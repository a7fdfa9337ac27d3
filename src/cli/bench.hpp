// What repeated measurements say together.
#pragma once
#include <span>

namespace kwaai::cli {

/// Mean and sample standard deviation (n - 1, as llama-bench prints it; 0 for one value).
struct Spread {
    double mean = 0;
    double deviation = 0;
};

/// Of at least one value.
[[nodiscard]] Spread spread(std::span<const double> values);

}  // namespace kwaai::cli
