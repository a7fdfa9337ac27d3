// The files that a node takes and dials secure WebSockets (/tls/ws) with.
#pragma once
#include <memory>
#include <string>

#include "base/result.hpp"
#include "crypto/web_tls.hpp"

namespace kwaai::crypto {

/// Paths of files in PEM; each may be empty.
struct WebTlsFiles {
    std::string certificate;  // the server's own first, then those up to an authority
    std::string key;          // without a passphrase
    std::string authorities;  // whom it believes besides the system's
};

/// As HostOptions takes it.
struct WebTls {
    std::shared_ptr<const WebServerTls> server;
    std::shared_ptr<const WebClientTls> client;
    std::string warning;  // a sentence about the files, where there is one to say
};

/// Reads the files, each at most 1 MiB. `Errc::invalid_argument` for a certificate without a key or
/// a key without a certificate, `not_found` and `io` for a file that cannot be read; errors of
/// WebServerTls::from_pem and WebClientTls::with_authorities, with the path.
[[nodiscard]] Result<WebTls> load_web_tls(const WebTlsFiles& files);

}  // namespace kwaai::crypto
