// What a peer shows in its handshake: nothing crashes, what is read is written the same, and only
// the seeds hold what an identity has signed.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>

#include "p2p/security/tls_certificate.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

void as_certificate(Bytes input) {
    const Result<crypto::Certificate> certificate = crypto::read_certificate(input);
    const std::array<Bytes, 1> chain{input};
    const std::chrono::sys_seconds now = std::chrono::sys_days(std::chrono::January / 2 / 2026);
    const Result<crypto::PublicKey> key = verify_tls_chain(chain, now, std::nullopt);
    if (key) {
        require(certificate.has_value());
        require(verify_tls_chain(chain, now, PeerId::of(*key)).has_value());
    }
    if (!certificate) return;
    require(certificate->extensions.size() <= crypto::kExtensionsMax);
}

void as_signed_key(Bytes input) {
    const Result<SignedKey> read = read_signed_key(input);
    if (!read) return;
    require(std::ranges::equal(write_signed_key(*read), input));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    const Bytes input = std::as_bytes(std::span(data, size)).subspan(1);
    if (data[0] % 2 == 0)
        as_certificate(input);
    else
        as_signed_key(input);
    return 0;
}
