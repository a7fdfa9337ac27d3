#include "crypto/secret.hpp"

#include <openssl/crypto.h>

namespace kwaai::crypto {

void wipe(MutableBytes bytes) {
    OPENSSL_cleanse(bytes.data(), bytes.size());
}

}  // namespace kwaai::crypto
