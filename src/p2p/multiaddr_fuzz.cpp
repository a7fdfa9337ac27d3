// Arbitrary bytes and text as an address: what is read from one is the same after a way through
// the other, and every question has an answer.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "p2p/multiaddr.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

void check(const Multiaddr& address) {
    const auto from_text = Multiaddr::parse(address.to_text());
    const auto from_bytes = Multiaddr::from_bytes(address.bytes());
    if (!from_text || *from_text != address || !from_bytes || *from_bytes != address) std::abort();
    if (const auto peer = address.peer()) {
        if (address.with_peer(*peer) != address) std::abort();
    } else if (address.without_peer() != address) {
        std::abort();
    }
    (void)address.target();
    if (address.is_loopback() && address.is_unspecified()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes input = std::as_bytes(std::span(data, size));
    if (const auto address = Multiaddr::from_bytes(input)) {
        if (!std::ranges::equal(address->bytes(), input)) std::abort();
        // Text may be longer than what is read: percent-encoding takes three characters a byte.
        if (address->to_text().size() <= 4096) check(*address);
    }
    if (const auto address = Multiaddr::parse(as_text(input))) check(*address);
    return 0;
}
