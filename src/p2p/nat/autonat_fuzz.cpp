// Arbitrary bytes as each message of AutoNAT v1 and v2: what is taken keeps to the limits and
// survives being written again.
#include <cstdint>
#include <cstdlib>

#include "p2p/nat/autonat_v1_wire.hpp"
#include "p2p/nat/autonat_v2_wire.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

void try_v1(Bytes input) {
    if (const auto dial = autonat_v1::decode_dial(input)) {
        require(dial->addresses.size() <= autonat_v1::kAddressesMax);
        const auto again = autonat_v1::decode_dial(autonat_v1::encode(*dial));
        require(again && again->peer == dial->peer && again->addresses == dial->addresses);
    }
    if (const auto response = autonat_v1::decode_response(input)) {
        const auto again = autonat_v1::decode_response(autonat_v1::encode(*response));
        require(again && again->status == response->status && again->text == response->text &&
                again->address == response->address);
    }
}

void try_v2(Bytes input) {
    (void)autonat_v2::decode_dial_back(input);
    const auto message = autonat_v2::decode(input);
    if (!message) return;
    const codec::Buffer bytes = autonat_v2::encode(*message);
    const auto again = autonat_v2::decode(bytes);
    require(again && again->index() == message->index() && autonat_v2::encode(*again) == bytes);
    if (const auto* const request = std::get_if<autonat_v2::DialRequest>(&*message))
        require(request->addresses.size() <= autonat_v2::kAddressesMax);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes input = std::as_bytes(std::span(data, size));
    try_v1(input);
    try_v2(input);
    return 0;
}
