// What `kwaai serve` says about where it listens.
#pragma once
#include "io/address.hpp"

namespace kwaai::cli {

/// Whether only this machine reaches `address`: 127.0.0.0/8, ::1 or localhost.
[[nodiscard]] bool is_loopback(const io::Address& address);

}  // namespace kwaai::cli
