// Names that nobody else chooses.
#pragma once
#include <string>

namespace kwaai::petals {

/// A random UUID (version 4) as text, as Python's uuid4: 36 characters.
[[nodiscard]] std::string make_uuid();

}  // namespace kwaai::petals
