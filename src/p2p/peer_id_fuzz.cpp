// Arbitrary bytes and text as a peer id: one value, one form of bytes and of text.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "p2p/peer_id.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

void check(const PeerId& peer) {
    const auto from_text = PeerId::parse(peer.to_text());
    const auto from_bytes = PeerId::from_bytes(peer.bytes());
    if (!from_text || *from_text != peer || !from_bytes || *from_bytes != peer) std::abort();
    const auto key = peer.embedded_key();
    if (key && !peer.matches(*key)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes input = std::as_bytes(std::span(data, size));
    if (const auto peer = PeerId::from_bytes(input)) {
        if (!std::ranges::equal(peer->bytes(), input)) std::abort();
        check(*peer);
    }
    if (const auto peer = PeerId::parse(as_text(input))) check(*peer);
    return 0;
}
