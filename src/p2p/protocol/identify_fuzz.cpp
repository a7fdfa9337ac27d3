// Arbitrary bytes as an identify message, and as a push on top of another: neither crashes, the
// bounds hold, and what was read is written and read again.
#include <cstdint>
#include <cstdlib>

#include "p2p/protocol/identify_wire.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

bool is_same(const IdentifyMessage& one, const IdentifyMessage& other) {
    return one.public_key == other.public_key && one.listen_addresses == other.listen_addresses &&
           one.protocols == other.protocols && one.observed == other.observed &&
           one.protocol_version == other.protocol_version && one.agent == other.agent &&
           one.signed_record == other.signed_record;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Limits limits;
    const Bytes input = std::as_bytes(std::span(data, size));
    auto message = decode_identify(input, limits);
    if (!message) return 0;
    if (message->protocols.size() > limits.identify_protocols_max ||
        message->listen_addresses.size() > limits.addresses_per_peer)
        std::abort();
    auto again = decode_identify(encode_identify(*message), limits);
    if (!again || !is_same(*again, *message)) std::abort();
    auto pushed = decode_identify(input.subspan(size / 2), limits);
    if (pushed) merge_identify(*again, std::move(*pushed));
    return 0;
}
