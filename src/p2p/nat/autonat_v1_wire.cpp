#include "p2p/nat/autonat_v1_wire.hpp"

#include <utility>

#include "codec/protobuf.hpp"

namespace kwaai::p2p::autonat_v1 {
namespace {

// Message
constexpr std::uint32_t kType = 1;
constexpr std::uint32_t kDial = 2;
constexpr std::uint32_t kDialResponse = 3;
constexpr std::uint64_t kTypeDial = 0;
constexpr std::uint64_t kTypeResponse = 1;
// Dial
constexpr std::uint32_t kPeer = 1;
// PeerInfo
constexpr std::uint32_t kPeerId = 1;
constexpr std::uint32_t kAddress = 2;
// DialResponse
constexpr std::uint32_t kStatus = 1;
constexpr std::uint32_t kText = 2;
constexpr std::uint32_t kDialled = 3;
constexpr std::size_t kTextBytesMax = 256;  // more is of no use to a reader

codec::Buffer wrap(std::uint64_t type, std::uint32_t tag, const codec::Buffer& inner) {
    codec::Buffer out;
    codec::ProtoWriter writer(out);
    writer.varint(kType, type);
    writer.bytes(tag, inner);
    return out;
}

// The part with `tag` of a message of this type.
Result<Bytes> unwrap(Bytes message, std::uint64_t type, std::uint32_t tag) {
    codec::ProtoReader reader(message);
    codec::ProtoField field;
    std::optional<Bytes> inner;
    std::uint64_t is_type = kTypeDial;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        if (field.tag == kType) {
            KWAAI_TRY(is_type, codec::field_u64(field));
        } else if (field.tag == tag) {
            KWAAI_TRY(inner, codec::field_bytes(field));
        }
    }
    if (is_type != type || !inner) return fail(Errc::malformed, "autonat: another message");
    return *inner;
}

Result<> read_peer(Bytes peer, Dial& dial) {
    codec::ProtoReader reader(peer);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return {};
        if (field.tag == kPeerId) {
            KWAAI_TRY(const Bytes id, codec::field_bytes(field));
            dial.peer = codec::to_buffer(id);
        } else if (field.tag == kAddress) {
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            auto address = Multiaddr::from_bytes(bytes);
            if (address && dial.addresses.size() < kAddressesMax)
                dial.addresses.push_back(std::move(*address));
        }
    }
}

Status status_of(std::uint64_t number) {
    switch (static_cast<Status>(number)) {
        case Status::ok:
        case Status::dial_error:
        case Status::dial_refused:
        case Status::bad_request: return static_cast<Status>(number);
        case Status::internal_error: break;
    }
    return Status::internal_error;
}

}  // namespace

codec::Buffer encode(const Dial& dial) {
    codec::Buffer peer;
    codec::ProtoWriter peer_writer(peer);
    peer_writer.bytes(kPeerId, dial.peer);
    for (const Multiaddr& address : dial.addresses)
        peer_writer.bytes(kAddress, address.bytes());
    codec::Buffer inner;
    codec::ProtoWriter(inner).bytes(kPeer, peer);
    return wrap(kTypeDial, kDial, inner);
}

codec::Buffer encode(const DialResponse& response) {
    codec::Buffer inner;
    codec::ProtoWriter writer(inner);
    writer.varint(kStatus, static_cast<std::uint64_t>(response.status));
    if (!response.text.empty()) writer.text(kText, response.text);
    if (response.address) writer.bytes(kDialled, response.address->bytes());
    return wrap(kTypeResponse, kDialResponse, inner);
}

Result<Dial> decode_dial(Bytes message) {
    KWAAI_TRY(const Bytes inner, unwrap(message, kTypeDial, kDial));
    codec::ProtoReader reader(inner);
    codec::ProtoField field;
    Dial dial;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return dial;
        if (field.tag != kPeer) continue;
        KWAAI_TRY(const Bytes peer, codec::field_bytes(field));
        KWAAI_CHECKED(read_peer(peer, dial));
    }
}

Result<DialResponse> decode_response(Bytes message) {
    KWAAI_TRY(const Bytes inner, unwrap(message, kTypeResponse, kDialResponse));
    codec::ProtoReader reader(inner);
    codec::ProtoField field;
    DialResponse response;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return response;
        if (field.tag == kStatus) {
            KWAAI_TRY(const std::uint64_t number, codec::field_u64(field));
            response.status = status_of(number);
        } else if (field.tag == kText) {
            KWAAI_TRY(const std::string_view text, codec::field_text(field));
            response.text = text.substr(0, kTextBytesMax);
        } else if (field.tag == kDialled) {
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            auto address = Multiaddr::from_bytes(bytes);
            if (address) response.address = std::move(*address);
        }
    }
}

}  // namespace kwaai::p2p::autonat_v1
