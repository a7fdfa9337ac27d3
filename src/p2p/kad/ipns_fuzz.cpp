// Arbitrary bytes as an IPNS record, and as the signed part of one that is signed.
#include <array>
#include <cstdint>
#include <cstdlib>

#include "codec/protobuf.hpp"
#include "p2p/kad/ipns_record.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

crypto::PrivateKey make_key() {
    std::array<std::byte, 32> seed{};
    seed[0] = std::byte{1};
    return crypto::PrivateKey::ed25519_from_seed(seed);
}

codec::Buffer name_of(const crypto::PrivateKey& key) {
    codec::Buffer name = codec::to_buffer(as_bytes("/ipns/"));
    codec::append(name, PeerId::of(key.public_key()).bytes());
    return name;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    static const crypto::PrivateKey key = make_key();
    static const codec::Buffer name = name_of(key);
    const Bytes input = std::as_bytes(std::span(bytes, size));
    (void)kad::open_ipns_record(name, input);
    const auto data = kad::read_ipns_data(input);
    if (!data) return 0;
    if (data->value.size() + data->validity.size() > input.size()) std::abort();
    codec::Buffer text = codec::to_buffer(as_bytes("ipns-signature:"));
    codec::append(text, input);
    codec::Buffer record;
    codec::ProtoWriter writer(record);
    writer.bytes(8, key.sign(text));
    writer.bytes(9, input);
    const auto opened = kad::open_ipns_record(name, record);
    const bool is_small = record.size() <= kad::kIpnsRecordBytesMax;
    if (opened.has_value() != is_small) std::abort();
    if (opened && (opened->sequence != data->sequence || opened->expires != data->expires))
        std::abort();
    return 0;
}
