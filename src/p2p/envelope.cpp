#include "p2p/envelope.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "codec/protobuf.hpp"
#include "codec/varint.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kAddressesMax = 64;

/// What is signed: each piece behind its length, so that nothing moves from one into another.
codec::Buffer signed_bytes(std::string_view domain, Bytes payload_type, Bytes payload) {
    codec::Buffer bytes;
    for (const Bytes piece : {as_bytes(domain), payload_type, payload}) {
        codec::append_varint(bytes, piece.size());
        codec::append(bytes, piece);
    }
    return bytes;
}

struct Fields {
    Bytes public_key;
    Bytes payload_type;
    Bytes payload;
    Bytes signature;
};

Result<Fields> read_fields(Bytes bytes) {
    Fields fields;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    for (;;) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return fields;
        switch (field.tag) {
            case 1: {
                KWAAI_TRY(fields.public_key, codec::field_bytes(field));
                break;
            }
            case 2: {
                KWAAI_TRY(fields.payload_type, codec::field_bytes(field));
                break;
            }
            case 3: {
                KWAAI_TRY(fields.payload, codec::field_bytes(field));
                break;
            }
            case 5: {
                KWAAI_TRY(fields.signature, codec::field_bytes(field));
                break;
            }
            default: break;
        }
    }
}

/// A domain and a payload type that mean a peer record.
struct RecordForm {
    std::string_view domain;
    std::string_view payload_type;
};

constexpr RecordForm kGoForm = {"libp2p-peer-record", "\x03\x01"};
constexpr RecordForm kRfcForm = {"libp2p-routing-state", "/libp2p/routing-state-record"};

codec::Buffer write_record(const PeerRecord& record) {
    codec::Buffer payload;
    codec::ProtoWriter writer(payload);
    writer.bytes(1, record.peer.bytes());
    writer.varint(2, record.sequence);
    for (const Multiaddr& address : record.addresses) {
        codec::Buffer info;
        codec::ProtoWriter(info).bytes(1, address.bytes());
        writer.bytes(3, info);
    }
    return payload;
}

/// The address in an AddressInfo { multiaddr = 1 }; nothing where we cannot parse the address.
Result<std::optional<Multiaddr>> read_address(Bytes info) {
    std::optional<Multiaddr> address;
    codec::ProtoReader reader(info);
    codec::ProtoField field;
    for (;;) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return address;
        if (field.tag != 1) continue;
        KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
        auto parsed = Multiaddr::from_bytes(bytes);
        if (parsed) address = std::move(*parsed);
    }
}

Result<PeerRecord> read_record(Bytes payload) {
    std::optional<PeerId> peer;
    std::uint64_t sequence = 0;
    std::vector<Multiaddr> addresses;
    std::size_t address_count = 0;
    codec::ProtoReader reader(payload);
    codec::ProtoField field;
    for (;;) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        switch (field.tag) {
            case 1: {
                KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
                KWAAI_TRY(peer, PeerId::from_bytes(bytes));
                break;
            }
            case 2: {
                KWAAI_TRY(sequence, codec::field_u64(field));
                break;
            }
            case 3: {
                KWAAI_TRY(const Bytes info, codec::field_bytes(field));
                if (++address_count > kAddressesMax) break;
                KWAAI_TRY(auto address, read_address(info));
                if (address) addresses.push_back(std::move(*address));
                break;
            }
            default: break;
        }
    }
    if (!peer) return fail(Errc::malformed, "a peer record without a peer");
    return PeerRecord{
        .peer = std::move(*peer), .sequence = sequence, .addresses = std::move(addresses)};
}

}  // namespace

codec::Buffer seal_envelope(const crypto::PrivateKey& key,
                            std::string_view domain,
                            Bytes payload_type,
                            Bytes payload) {
    const std::vector<std::byte> signature = key.sign(signed_bytes(domain, payload_type, payload));
    codec::Buffer bytes;
    codec::ProtoWriter writer(bytes);
    writer.bytes(1, key.public_key().protobuf());
    writer.bytes(2, payload_type);
    writer.bytes(3, payload);
    writer.bytes(5, signature);
    return bytes;
}

Result<Envelope> open_envelope(Bytes bytes, std::string_view domain) {
    auto fields = read_fields(bytes);
    if (!fields) return forward_error(fields, "a signed envelope");
    auto signer = crypto::PublicKey::from_protobuf(fields->public_key);
    if (!signer) return fail(Errc::malformed, "a signed envelope: " + signer.error().context);
    if (!signer->verify(signed_bytes(domain, fields->payload_type, fields->payload),
                        fields->signature))
        return fail(
            Errc::malformed,
            "the signature of an envelope is not over its content for " + std::string(domain));
    return Envelope{.signer = std::move(*signer),
                    .payload_type = codec::to_buffer(fields->payload_type),
                    .payload = codec::to_buffer(fields->payload)};
}

codec::Buffer seal_peer_record(const crypto::PrivateKey& key, const PeerRecord& record) {
    return seal_envelope(key, kGoForm.domain, as_bytes(kGoForm.payload_type), write_record(record));
}

Result<PeerRecord> open_peer_record(Bytes envelope) {
    auto fields = read_fields(envelope);
    if (!fields) return forward_error(fields, "a signed peer record");
    const std::string_view type = as_text(fields->payload_type);
    if (type != kGoForm.payload_type && type != kRfcForm.payload_type)
        return fail(Errc::malformed, "a signed envelope that holds no peer record");
    const RecordForm& form = type == kGoForm.payload_type ? kGoForm : kRfcForm;
    KWAAI_TRY(const Envelope opened, open_envelope(envelope, form.domain));
    auto record = read_record(opened.payload);
    if (!record) return forward_error(record, "a signed peer record");
    if (!record->peer.matches(opened.signer))
        return fail(Errc::malformed,
                    "a peer record of " + record->peer.to_text() + " is signed by " +
                        PeerId::of(opened.signer).to_text());
    return record;
}

}  // namespace kwaai::p2p
