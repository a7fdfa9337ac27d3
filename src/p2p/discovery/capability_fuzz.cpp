// Arbitrary bytes as a sealed capability record, and as the payload of one that is signed: what is
// taken keeps to the limits and survives being written again.
#include <array>
#include <cstdint>
#include <cstdlib>

#include "p2p/discovery/capability_record.hpp"
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
    (void)open_capability(input);
    const codec::Buffer envelope =
        seal_envelope(key, "kwaai-capability", as_bytes("/kwaai/capability"), input);
    const auto opened = open_capability(envelope);
    if (!opened) return 0;
    const Capability& got = opened->capability;
    if (got.names.size() > kCapabilitiesMax || got.models.size() > kModelOffersMax) std::abort();
    const auto again = seal_capability(key, got);
    if (!again) return 0;  // addresses in a longer form than ours
    const auto reopened = open_capability(*again);
    if (!reopened || reopened->capability.names != got.names ||
        reopened->capability.models != got.models)
        std::abort();
    return 0;
}
