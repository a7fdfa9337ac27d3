// Arbitrary bytes as an envelope, and as the payload of a record that is signed: neither crashes,
// and only the signer's own record comes out.
#include <array>
#include <cstdint>
#include <cstdlib>

#include "p2p/envelope.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

crypto::PrivateKey make_key() {
    std::array<std::byte, 32> seed{};
    seed[0] = std::byte{1};
    return crypto::PrivateKey::ed25519_from_seed(seed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const crypto::PrivateKey key = make_key();
    const Bytes input = std::as_bytes(std::span(data, size));
    (void)open_envelope(input, "libp2p-peer-record");
    (void)open_peer_record(input);
    const codec::Buffer sealed =
        seal_envelope(key, "libp2p-peer-record", as_bytes("\x03\x01"), input);
    const auto record = open_peer_record(sealed);
    if (!record) return 0;
    if (!record->peer.matches(key.public_key()) || record->addresses.size() > 64) std::abort();
    const auto again = open_peer_record(seal_peer_record(key, *record));
    if (!again || again->sequence != record->sequence || again->addresses != record->addresses)
        std::abort();
    return 0;
}
