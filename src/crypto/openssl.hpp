// Ownership of OpenSSL's objects, for the sources of this room alone.
#pragma once
#include <memory>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/bytes.hpp"

namespace kwaai::crypto::detail {

template <auto kFree>
struct Freer {
    template <class T>
    void operator()(T* object) const {
        kFree(object);
    }
};

using MdContext = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Freer<EVP_CIPHER_CTX_free>>;
using Pkey = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using PkeyContext = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Freer<BN_clear_free>>;
using NumberContext = std::unique_ptr<BN_CTX, Freer<BN_CTX_free>>;
using Point = std::unique_ptr<EC_POINT, Freer<EC_POINT_clear_free>>;

/// OpenSSL keeps failures in a queue of the thread; what we answered ourselves must not lie there
/// for the next caller (TLS reads the queue).
class ErrorQueueGuard {
public:
    ErrorQueueGuard() { clear(); }

    ErrorQueueGuard(const ErrorQueueGuard&) = delete;
    ErrorQueueGuard& operator=(const ErrorQueueGuard&) = delete;

    ~ErrorQueueGuard() { clear(); }

private:
    // Clearing an empty queue costs as much as a full one.
    static void clear() {
        if (ERR_peek_error() != 0) ERR_clear_error();
    }
};

[[nodiscard]] inline const unsigned char* in(Bytes bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

[[nodiscard]] inline unsigned char* out(MutableBytes bytes) {
    return reinterpret_cast<unsigned char*>(bytes.data());
}

/// SHA-256, looked up once.
[[nodiscard]] const EVP_MD* sha256_algorithm();

}  // namespace kwaai::crypto::detail
