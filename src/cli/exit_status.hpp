// Exit statuses of the program and how errors map to them.
#pragma once
#include "base/result.hpp"

namespace kwaai::cli {

inline constexpr int kOk = 0;
inline constexpr int kFailure = 1;
inline constexpr int kUsage = 2;
inline constexpr int kInterrupted = 130;  // 128 + SIGINT, as shells report it

/// The status a verb ends with after an error of this code. `closed` is success: the reader of our
/// output went away, having seen enough (`kwaai run | head -1`).
[[nodiscard]] int exit_status(Errc code);

/// Prints "kwaai: <sentence>" on stderr, or nothing for `closed` and `cancelled`; returns the exit
/// status.
int report(const Error& error);

}  // namespace kwaai::cli
