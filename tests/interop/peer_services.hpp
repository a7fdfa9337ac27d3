// What a node that others test against serves: peers/README.md says what each protocol does.
#pragma once
#include "p2p/host.hpp"

namespace kwaai::interop {

inline constexpr const char* kEchoProtocol = "/echo/1.0.0";
inline constexpr const char* kResetProtocol = "/interop/reset/1.0.0";

/// Registers both.
void add_services(p2p::Host& host);

}  // namespace kwaai::interop
