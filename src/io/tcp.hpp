// TCP over the operating system's sockets.
#pragma once
#include <memory>

#include "base/result.hpp"
#include "io/address.hpp"
#include "io/loop.hpp"
#include "io/stream.hpp"

namespace kwaai::io {

/// Listens at once; the address may be taken again right after an earlier listener has gone.
/// `Errc::invalid_argument` for a host that is no IP address or not of this machine,
/// `unavailable` where the port is in use or not permitted:
/// "cannot listen on 127.0.0.1:8080: address already in use".
[[nodiscard]] Result<std::unique_ptr<Listener>> listen_tcp(Loop& loop, const Address& address);

/// Connects, without a time limit of its own (see with_timeout). `Errc::unavailable` where nothing
/// answers: "cannot connect to 127.0.0.1:8080: connection refused".
Task<Result<std::unique_ptr<Stream>>> connect_tcp(Loop& loop, Address address);

}  // namespace kwaai::io
