// WebSocket (RFC 6455) as a stream of bytes: those of its binary messages, whose boundaries mean
// nothing.
#pragma once
#include <functional>
#include <memory>

#include "base/result.hpp"
#include "http/websocket_handshake.hpp"
#include "http/websocket_state.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"

namespace kwaai::http {

/// Serves one upgrade on `raw`; its owner peeks, and gives what it has read back in front. What
/// asks for no WebSocket is told so in HTTP and closed. Errors: `Errc::malformed`, with the
/// sentence that the client was told, `limit_exceeded` for a header above its limit, `closed` where
/// `raw` ends; those of `raw`. No time limit of its own.
///
/// The stream: as io::Stream. shutdown_write() sends Close and reading goes on, as with any stream;
/// the peer's Close reads as the end and is answered by our shutdown_write(). What breaks the rules
/// (WebSocketState::failure) is told to the peer as far as it can be, ends both directions, and is
/// what read_some() gives; later calls give `Errc::closed`. Pings are answered while somebody reads
/// or writes; a read_some() that is cancelled while an answer leaves breaks the stream, any other
/// loses nothing.
io::Task<Result<std::unique_ptr<io::Stream>>> accept_websocket(std::unique_ptr<io::Stream> raw,
                                                               WebSocketLimits limits);

/// Asks for a WebSocket on a fresh `raw`. `random` gives key and masks; the system's where empty.
/// The stream and errors as above, and those of upgrade_request and check_upgrade.
io::Task<Result<std::unique_ptr<io::Stream>>> connect_websocket(
    std::unique_ptr<io::Stream> raw,
    WebSocketTarget target,
    std::function<void(MutableBytes)> random,
    WebSocketLimits limits);

}  // namespace kwaai::http
