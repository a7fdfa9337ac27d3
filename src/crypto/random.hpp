// Random bytes that nobody can guess.
#pragma once
#include "base/bytes.hpp"

namespace kwaai::crypto {

/// Fills `into` from the system's generator; aborts the program where it has none.
void fill_random(MutableBytes into);

}  // namespace kwaai::crypto
