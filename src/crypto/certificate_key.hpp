// What a CertificateKey is made of; for the sources of this room alone.
#pragma once
#include "crypto/certificate.hpp"
#include "crypto/openssl.hpp"

namespace kwaai::crypto {

struct CertificateKey::State {
    detail::Pkey pkey;
};

}  // namespace kwaai::crypto
