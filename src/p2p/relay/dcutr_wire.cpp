#include "p2p/relay/dcutr_wire.hpp"

#include <optional>
#include <string>
#include <utility>

#include "codec/protobuf.hpp"
#include "codec/varint.hpp"

namespace kwaai::p2p::relay {

codec::Buffer encode_hole_punch(const HolePunchMessage& message) {
    codec::Buffer body;
    codec::ProtoWriter writer(body);
    writer.varint(1, static_cast<std::uint64_t>(message.type));
    for (const Multiaddr& address : message.addresses)
        writer.bytes(2, address.bytes());
    codec::Buffer framed;
    codec::append_varint(framed, body.size());
    codec::append(framed, body);
    return framed;
}

Result<HolePunchMessage> decode_hole_punch(Bytes bytes, std::size_t addresses_max) {
    std::optional<std::uint64_t> type;
    HolePunchMessage message;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        if (field.tag == 1) {
            KWAAI_TRY(type, codec::field_u64(field));
        } else if (field.tag == 2) {
            KWAAI_TRY(const Bytes address, codec::field_bytes(field));
            auto parsed = Multiaddr::from_bytes(address);
            if (parsed && !parsed->is_relayed() && message.addresses.size() < addresses_max)
                message.addresses.push_back(std::move(*parsed));
        }
    }
    if (type == std::to_underlying(HolePunchType::connect))
        message.type = HolePunchType::connect;
    else if (type == std::to_underlying(HolePunchType::sync))
        message.type = HolePunchType::sync;
    else
        return fail(Errc::malformed, "a hole-punch message of no known type");
    return message;
}

}  // namespace kwaai::p2p::relay
