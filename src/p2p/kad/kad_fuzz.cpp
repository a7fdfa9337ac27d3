// Arbitrary bytes as a message of Kademlia: what is read keeps to the limits and survives being
// written again.
#include <cstdint>
#include <cstdlib>

#include "codec/varint.hpp"
#include "p2p/kad/kad_wire.hpp"

using namespace kwaai;
using namespace kwaai::p2p::kad;

namespace {

void check_peers(const std::vector<WirePeer>& peers, const DhtLimits& limits) {
    if (peers.size() > limits.peers_max) std::abort();
    for (const WirePeer& peer : peers)
        if (peer.addresses.size() > limits.addresses_max) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const DhtLimits limits;
    const auto message = decode_message(std::as_bytes(std::span(data, size)), limits);
    if (!message) return 0;
    check_peers(message->closer, limits);
    check_peers(message->providers, limits);
    if (message->key.size() > limits.key_bytes_max) std::abort();
    const codec::Buffer framed = encode_message(*message, limits);
    const auto length = codec::read_varint(framed);
    if (!length || !*length || (*length)->value > limits.sent_bytes_max) std::abort();
    const auto again = decode_message(Bytes(framed).subspan((*length)->size), limits);
    if (!again || again->type != message->type || again->key != message->key) std::abort();
    if (again->record.has_value() != message->record.has_value()) std::abort();
    if (again->record && again->record->value != message->record->value) std::abort();
    if (again->closer.size() > message->closer.size()) std::abort();
    return 0;
}
