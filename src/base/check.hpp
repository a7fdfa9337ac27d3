// Checks for bugs of our own. They stay on in release builds; bad input is never checked this way.
#pragma once

namespace kwaai {

/// Prints where and why to stderr and aborts.
[[noreturn]] void check_failed(const char* condition, const char* why, const char* file, int line);

}  // namespace kwaai

/// Aborts with `why` when `cond` is false: a bug in our code, not in the input.
#define KWAAI_CHECK(cond, why)                                              \
    do {                                                                    \
        if (!(cond)) ::kwaai::check_failed(#cond, why, __FILE__, __LINE__); \
    } while (false)
