// What a node that others test against serves: peers/README.md says what each protocol does.
#pragma once
#include "p2p/host.hpp"

namespace kwaai::interop {

inline constexpr const char* kEchoProtocol = "/echo/1.0.0";
inline constexpr const char* kResetProtocol = "/interop/reset/1.0.0";
inline constexpr const char* kPerfProtocol = "/perf/1.0.0";

/// Registers all of them.
void add_services(p2p::Host& host);

/// Writes `count` zeros.
io::Task<Result<>> send_zeros(p2p::Stream& stream, std::uint64_t count);

}  // namespace kwaai::interop
