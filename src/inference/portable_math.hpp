// Elementary functions in double that give the same bits everywhere: +, -, *, / and bit operations
// only, no libm (whose last bits differ between systems and WebAssembly). docs/arithmetic.md says
// who relies on it.
#pragma once

namespace kwaai::inference {

/// 2^x, relative error below 4e-16; 0 below -1000, and x above 1000 counts as 1000.
[[nodiscard]] double portable_exp2(double x);
/// e^x, relative error below 1e-15 for |x| <= 700.
[[nodiscard]] double portable_exp(double x);
/// log2(x) for finite normal x > 0, absolute error below 1e-15 * max(1, |result|).
[[nodiscard]] double portable_log2(double x);
/// Natural logarithm, as portable_log2.
[[nodiscard]] double portable_log(double x);

struct SineCosine {
    double sine;
    double cosine;
};

/// Both of `angle` radians, |angle| <= 2^22, absolute error below 1e-15.
[[nodiscard]] SineCosine portable_sine_cosine(double angle);

}  // namespace kwaai::inference
