// What a TlsContext is made of; for the sources of this room alone.
#pragma once
#include <memory>
#include <string>

#include <openssl/ssl.h>

#include "crypto/openssl.hpp"
#include "crypto/tls_engine.hpp"

namespace kwaai::crypto {

struct TlsContext::State {
    std::unique_ptr<SSL_CTX, detail::Freer<SSL_CTX_free>> context;
};

namespace detail {

/// Version 1.3 alone, with our ciphers and groups, without tickets; nobody's certificate yet.
[[nodiscard]] std::unique_ptr<TlsContext::State> make_tls_state();

/// What OpenSSL's queue says of the last failure.
[[nodiscard]] std::string tls_reason();

}  // namespace detail
}  // namespace kwaai::crypto
