#include "crypto/random.hpp"

#include <algorithm>

#include <openssl/rand.h>

#include "base/check.hpp"
#include "crypto/openssl.hpp"

namespace kwaai::crypto {

void fill_random(MutableBytes into) {
    constexpr std::size_t kChunkBytes = std::size_t{1} << 20;  // OpenSSL counts in int
    while (!into.empty()) {
        const std::size_t count = std::min(into.size(), kChunkBytes);
        KWAAI_CHECK(RAND_bytes(detail::out(into), static_cast<int>(count)) == 1,
                    "the system has a random source");
        into = into.subspan(count);
    }
}

}  // namespace kwaai::crypto
