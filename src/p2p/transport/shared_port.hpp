// One port for all that libp2p speaks over TCP: what a connection is shows in its first bytes.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::crypto {
class WebServerTls;
}

namespace kwaai::p2p {

enum class FirstBytes : std::uint8_t {
    multistream,  // 0x13 "/m": the length and the start of "/multistream/1.0.0\n"
    http,         // "GET "
    tls,          // a handshake record: 0x16 0x03
    unknown,
};

/// What a connection that begins with `bytes` speaks; nothing where more are needed to tell (four
/// always suffice). Pure.
[[nodiscard]] std::optional<FirstBytes> recognise(Bytes bytes);

struct Recognised {
    std::unique_ptr<io::Stream> stream;  // where multistream-select begins
    Transport transport = Transport::tcp;
};

/// Waits for the first bytes that a dialler sends (each of libp2p's speaks first), and serves the
/// upgrade where it wants a WebSocket, inside TLS where it begins with that and `web` is not null.
/// `Errc::malformed` for anything else, `unsupported` for TLS without `web`; errors of
/// http::accept_websocket and secure_web_server. No time limit of its own.
io::Task<Result<Recognised>> recognise_transport(std::unique_ptr<io::Stream> raw,
                                                 std::shared_ptr<const crypto::WebServerTls> web);

}  // namespace kwaai::p2p
