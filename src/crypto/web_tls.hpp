// TLS as web servers and browsers speak it: only the server shows a certificate, which authorities
// have signed for its names.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/tls_engine.hpp"

namespace kwaai::crypto {

constexpr std::size_t kWebChainMax = 10;  // certificates that a server shows

/// A server's certificate, those that lead from it to an authority, and its key.
class WebServerTls {
public:
    /// @param chain certificates in PEM, the server's own first
    /// @param key in PEM, without a passphrase
    /// `Errc::malformed` where one of them cannot be read or OpenSSL finds it too weak,
    /// `limit_exceeded` for more than kWebChainMax, `invalid_argument` where the key is another's.
    static Result<WebServerTls> from_pem(Bytes chain, Bytes key);

    /// The DNS names of the certificate that are no pattern, in its order.
    [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

    /// Whether the certificate is for this IP address, in text.
    [[nodiscard]] bool is_for_ip(const std::string& ip) const;

    [[nodiscard]] std::chrono::sys_seconds not_after() const { return not_after_; }

    /// The server's side of a new connection, which agrees on HTTP/1.1 where the client asks.
    [[nodiscard]] TlsEngine accept() const;

private:
    explicit WebServerTls(TlsContext context) : context_(std::move(context)) {}

    TlsContext context_;
    std::vector<std::string> names_;
    std::chrono::sys_seconds not_after_;
};

/// Whom a client believes that a certificate is for a name.
class WebClientTls {
public:
    /// The system's authorities (OpenSSL's default places; SSL_CERT_FILE and SSL_CERT_DIR say
    /// others).
    WebClientTls();
    /// And those of `authorities`, certificates in PEM, at least one. `Errc::malformed`.
    static Result<WebClientTls> with_authorities(Bytes authorities);

    /// The client's side of a new connection. Its handshake fails with `Errc::malformed` where the
    /// server's certificate is not for `name` (a DNS name or an IP address), out of its time, or of
    /// nobody who is believed. `Errc::invalid_argument` for a name that cannot be one.
    [[nodiscard]] Result<TlsEngine> connect(const std::string& name) const;

private:
    TlsContext context_;
};

}  // namespace kwaai::crypto
