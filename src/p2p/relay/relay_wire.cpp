#include "p2p/relay/relay_wire.hpp"

#include <string>
#include <utility>

#include "codec/protobuf.hpp"
#include "codec/varint.hpp"
#include "p2p/envelope.hpp"

namespace kwaai::p2p::relay {
namespace {

constexpr std::string_view kVoucherDomain = "libp2p-relay-rsvp";
constexpr std::string_view kVoucherType = "\x03\x02";

codec::Buffer framed(const codec::Buffer& message) {
    codec::Buffer out;
    codec::append_varint(out, message.size());
    codec::append(out, message);
    return out;
}

codec::Buffer write_peer(const PeerId& peer) {
    codec::Buffer out;
    codec::ProtoWriter(out).bytes(1, peer.bytes());
    return out;
}

codec::Buffer write_limit(const CircuitLimit& limit) {
    codec::Buffer out;
    codec::ProtoWriter writer(out);
    writer.varint(1, static_cast<std::uint64_t>(limit.duration.count()));
    writer.varint(2, limit.bytes);
    return out;
}

codec::Buffer write_reservation(const WireReservation& reservation) {
    codec::Buffer out;
    codec::ProtoWriter writer(out);
    writer.varint(1, reservation.expires);
    for (const Multiaddr& address : reservation.addresses)
        writer.bytes(2, address.bytes());
    if (!reservation.voucher.empty()) writer.bytes(3, reservation.voucher);
    return out;
}

Result<PeerId> read_peer(Bytes bytes) {
    std::optional<PeerId> peer;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        if (field.tag != 1) continue;
        KWAAI_TRY(const Bytes id, codec::field_bytes(field));
        KWAAI_TRY(peer, PeerId::from_bytes(id));
    }
    if (!peer) return fail(Errc::malformed, "a peer without an id");
    return std::move(*peer);
}

Result<CircuitLimit> read_limit(Bytes bytes) {
    CircuitLimit limit;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return limit;
        if (field.tag == 1) {
            KWAAI_TRY(const std::uint32_t seconds, codec::field_u32(field));
            limit.duration = std::chrono::seconds(seconds);
        } else if (field.tag == 2) {
            KWAAI_TRY(limit.bytes, codec::field_u64(field));
        }
    }
}

Result<WireReservation> read_reservation(Bytes bytes, std::size_t addresses_max) {
    WireReservation reservation;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return reservation;
        switch (field.tag) {
            case 1: {
                KWAAI_TRY(reservation.expires, codec::field_u64(field));
                break;
            }
            case 2: {
                KWAAI_TRY(const Bytes address, codec::field_bytes(field));
                auto parsed = Multiaddr::from_bytes(address);
                if (parsed && reservation.addresses.size() < addresses_max)
                    reservation.addresses.push_back(std::move(*parsed));
                break;
            }
            case 3: {
                KWAAI_TRY(const Bytes voucher, codec::field_bytes(field));
                reservation.voucher = codec::to_buffer(voucher);
                break;
            }
            default: break;
        }
    }
}

Result<std::uint32_t> read_type(const codec::ProtoField& field, std::uint32_t last) {
    KWAAI_TRY(const std::uint32_t type, codec::field_u32(field));
    if (type > last)
        return fail(Errc::malformed, "a message of the unknown type " + std::to_string(type));
    return type;
}

Result<> read_hop_field(const codec::ProtoField& field,
                        std::size_t addresses_max,
                        HopMessage& into) {
    switch (field.tag) {
        case 2: {
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            KWAAI_TRY(into.peer, read_peer(bytes));
            break;
        }
        case 3: {
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            KWAAI_TRY(into.reservation, read_reservation(bytes, addresses_max));
            break;
        }
        case 4: {
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            KWAAI_TRY(into.limit, read_limit(bytes));
            break;
        }
        case 5: {
            KWAAI_TRY(const std::uint32_t status, codec::field_u32(field));
            into.status = static_cast<Status>(status);
            break;
        }
        default: break;
    }
    return {};
}

Result<> read_stop_field(const codec::ProtoField& field, StopMessage& into) {
    switch (field.tag) {
        case 2: {
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            KWAAI_TRY(into.peer, read_peer(bytes));
            break;
        }
        case 3: {
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            KWAAI_TRY(into.limit, read_limit(bytes));
            break;
        }
        case 4: {
            KWAAI_TRY(const std::uint32_t status, codec::field_u32(field));
            into.status = static_cast<Status>(status);
            break;
        }
        default: break;
    }
    return {};
}

}  // namespace

std::string to_text(Status status) {
    switch (status) {
        case Status::none: return "no status";
        case Status::ok: return "ok";
        case Status::reservation_refused: return "reservation refused";
        case Status::resource_limit_exceeded: return "resource limit exceeded";
        case Status::permission_denied: return "permission denied";
        case Status::connection_failed: return "connection failed";
        case Status::no_reservation: return "no reservation";
        case Status::malformed_message: return "malformed message";
        case Status::unexpected_message: return "unexpected message";
    }
    return "status " + std::to_string(static_cast<std::uint32_t>(status));
}

codec::Buffer encode_hop(const HopMessage& message) {
    codec::Buffer out;
    codec::ProtoWriter writer(out);
    writer.varint(1, static_cast<std::uint64_t>(message.type));
    if (message.peer) writer.bytes(2, write_peer(*message.peer));
    if (message.reservation) writer.bytes(3, write_reservation(*message.reservation));
    if (message.limit) writer.bytes(4, write_limit(*message.limit));
    if (message.status != Status::none)
        writer.varint(5, static_cast<std::uint64_t>(message.status));
    return framed(out);
}

codec::Buffer encode_stop(const StopMessage& message) {
    codec::Buffer out;
    codec::ProtoWriter writer(out);
    writer.varint(1, static_cast<std::uint64_t>(message.type));
    if (message.peer) writer.bytes(2, write_peer(*message.peer));
    if (message.limit) writer.bytes(3, write_limit(*message.limit));
    if (message.status != Status::none)
        writer.varint(4, static_cast<std::uint64_t>(message.status));
    return framed(out);
}

Result<HopMessage> decode_hop(Bytes bytes, std::size_t addresses_max) {
    HopMessage message;
    bool has_type = false;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        if (field.tag == 1) {
            KWAAI_TRY(const std::uint32_t type, read_type(field, 2));
            message.type = static_cast<HopType>(type);
            has_type = true;
            continue;
        }
        KWAAI_CHECKED(read_hop_field(field, addresses_max, message));
    }
    if (!has_type) return fail(Errc::malformed, "a hop message without a type");
    return message;
}

Result<StopMessage> decode_stop(Bytes bytes) {
    StopMessage message;
    bool has_type = false;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        if (field.tag == 1) {
            KWAAI_TRY(const std::uint32_t type, read_type(field, 1));
            message.type = static_cast<StopType>(type);
            has_type = true;
            continue;
        }
        KWAAI_CHECKED(read_stop_field(field, message));
    }
    if (!has_type) return fail(Errc::malformed, "a stop message without a type");
    return message;
}

codec::Buffer seal_voucher(const crypto::PrivateKey& key, const Voucher& voucher) {
    codec::Buffer payload;
    codec::ProtoWriter writer(payload);
    writer.bytes(1, voucher.relay.bytes());
    writer.bytes(2, voucher.peer.bytes());
    writer.varint(3, voucher.expires);
    return seal_envelope(key, kVoucherDomain, as_bytes(kVoucherType), payload);
}

Result<Voucher> open_voucher(Bytes envelope) {
    KWAAI_TRY(const Envelope opened, open_envelope(envelope, kVoucherDomain));
    if (as_text(opened.payload_type) != kVoucherType)
        return fail(Errc::malformed, "a signed envelope that holds no voucher");
    std::optional<PeerId> relay;
    std::optional<PeerId> peer;
    std::uint64_t expires = 0;
    codec::ProtoReader reader(opened.payload);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        if (field.tag == 1 || field.tag == 2) {
            KWAAI_TRY(const Bytes id, codec::field_bytes(field));
            KWAAI_TRY((field.tag == 1 ? relay : peer), PeerId::from_bytes(id));
        } else if (field.tag == 3) {
            KWAAI_TRY(expires, codec::field_u64(field));
        }
    }
    if (!relay || !peer) return fail(Errc::malformed, "a voucher without its peers");
    if (!relay->matches(opened.signer))
        return fail(Errc::malformed, "a voucher that another peer than its relay has signed");
    return Voucher{.relay = std::move(*relay), .peer = std::move(*peer), .expires = expires};
}

}  // namespace kwaai::p2p::relay
