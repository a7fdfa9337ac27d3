// TLS below a WebSocket, as browsers speak it (/tls/ws): the certificate is a web server's, and
// says nothing of the peer, whom Noise or TLS inside the WebSocket tells.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "crypto/web_tls.hpp"
#include "io/address.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::p2p {

/// Makes `raw` private toward a server whose certificate is for `name`. The stream is that of
/// make_tls_stream. Errors of WebClientTls::connect and shake_hands. No time limit of its own.
io::Task<Result<std::unique_ptr<io::Stream>>> secure_web_client(
    std::unique_ptr<io::Stream> raw,
    std::shared_ptr<const crypto::WebClientTls> tls,
    std::string name);

/// As the server. Errors of shake_hands. No time limit of its own.
io::Task<Result<std::unique_ptr<io::Stream>>> secure_web_server(
    std::unique_ptr<io::Stream> raw, std::shared_ptr<const crypto::WebServerTls> tls);

/// Where a certificate can be believed of a port that listens at `socket` (an IP address): there,
/// by the certificate's first name where the IP address is not in it, and at its names, as
/// /dns4 or /dns6 as the socket is. Pure.
[[nodiscard]] std::vector<Multiaddr> secure_addresses(const io::Address& socket,
                                                      const crypto::WebServerTls& tls);

}  // namespace kwaai::p2p
