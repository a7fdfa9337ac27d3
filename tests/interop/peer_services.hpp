// What a node that others test against serves: peers/README.md says what each protocol does.
#pragma once
#include <memory>

#include "p2p/host.hpp"

namespace kwaai::interop {

inline constexpr const char* kEchoProtocol = "/echo/1.0.0";
inline constexpr const char* kResetProtocol = "/interop/reset/1.0.0";

/// Sends back what comes, and ends when that does.
io::Task<void> serve_echo(std::unique_ptr<p2p::Stream> stream);

/// Registers both.
void add_services(p2p::Host& host);

}  // namespace kwaai::interop
