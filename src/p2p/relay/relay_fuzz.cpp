// Arbitrary bytes as the messages of circuit relay v2 and of DCUtR, as a voucher, and as the
// payload of one that is signed: what is read keeps to the limits and survives being written again.
#include <array>
#include <cstdint>
#include <cstdlib>

#include "codec/varint.hpp"
#include "p2p/envelope.hpp"
#include "p2p/relay/dcutr_wire.hpp"
#include "p2p/relay/relay_wire.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace kwaai::p2p::relay;

namespace {

constexpr std::size_t kAddressesMax = 4;

crypto::PrivateKey make_key() {
    std::array<std::byte, 32> seed{};
    seed[0] = std::byte{1};
    return crypto::PrivateKey::ed25519_from_seed(seed);
}

Bytes unframed(const codec::Buffer& message) {
    const auto length = codec::read_varint(message);
    if (!length || !*length) std::abort();
    if ((*length)->size + (*length)->value != message.size()) std::abort();
    return Bytes(message).subspan((*length)->size);
}

void try_hop(Bytes input) {
    const auto message = decode_hop(input, kAddressesMax);
    if (!message) return;
    if (message->reservation && message->reservation->addresses.size() > kAddressesMax)
        std::abort();
    const codec::Buffer written = encode_hop(*message);
    const auto again = decode_hop(unframed(written), kAddressesMax);
    if (!again || again->type != message->type || again->peer != message->peer ||
        again->limit != message->limit || again->status != message->status)
        std::abort();
    if (again->reservation.has_value() != message->reservation.has_value()) std::abort();
}

void try_stop(Bytes input) {
    const auto message = decode_stop(input);
    if (!message) return;
    const codec::Buffer written = encode_stop(*message);
    const auto again = decode_stop(unframed(written));
    if (!again || again->type != message->type || again->peer != message->peer ||
        again->limit != message->limit || again->status != message->status)
        std::abort();
}

void try_hole_punch(Bytes input) {
    const auto message = decode_hole_punch(input, kAddressesMax);
    if (!message) return;
    if (message->addresses.size() > kAddressesMax) std::abort();
    const codec::Buffer written = encode_hole_punch(*message);
    const auto again = decode_hole_punch(unframed(written), kAddressesMax);
    if (!again || again->type != message->type || again->addresses != message->addresses)
        std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const crypto::PrivateKey key = make_key();
    static const PeerId signer = PeerId::of(key.public_key());
    const Bytes input = std::as_bytes(std::span(data, size));
    try_hop(input);
    try_stop(input);
    try_hole_punch(input);
    (void)open_voucher(input);
    const codec::Buffer sealed =
        seal_envelope(key, "libp2p-relay-rsvp", as_bytes(std::string_view("\x03\x02")), input);
    const auto voucher = open_voucher(sealed);
    if (voucher && voucher->relay != signer) std::abort();
    return 0;
}
