// The addresses under which this machine can be reached.
#pragma once
#include <string>
#include <vector>

#include "io/network.hpp"

namespace kwaai::io {

/// IP addresses of the interfaces that are up, loopback first, without duplicates, at most 64.
/// Link-local IPv6 addresses are left out: they mean nothing without the name of an interface.
/// Empty where the system does not tell.
[[nodiscard]] std::vector<std::string> interface_addresses(IpFamily family);

}  // namespace kwaai::io
