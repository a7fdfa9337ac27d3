#include "p2p/kad/kad_wire.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "codec/protobuf.hpp"
#include "codec/varint.hpp"

namespace kwaai::p2p::kad {
namespace {

constexpr std::uint32_t kType = 1;
constexpr std::uint32_t kKey = 2;
constexpr std::uint32_t kRecord = 3;
constexpr std::uint32_t kCloser = 8;
constexpr std::uint32_t kProviders = 9;
constexpr std::size_t kFieldOverheadMax = 8;  // tag and length of a peer

codec::Buffer write_peer(const WirePeer& peer, const DhtLimits& limits) {
    codec::Buffer out;
    codec::ProtoWriter writer(out);
    writer.bytes(1, peer.peer.bytes());
    const std::size_t count = std::min(peer.addresses.size(), limits.addresses_sent_max);
    for (std::size_t i = 0; i < count; ++i)
        writer.bytes(2, peer.addresses[i].bytes());
    writer.varint(3, static_cast<std::uint64_t>(peer.connection));
    return out;
}

void write_peers(codec::Buffer& out,
                 std::uint32_t tag,
                 const std::vector<WirePeer>& peers,
                 const DhtLimits& limits) {
    codec::ProtoWriter writer(out);
    for (const WirePeer& peer : peers) {
        const codec::Buffer written = write_peer(peer, limits);
        if (out.size() + written.size() + kFieldOverheadMax > limits.sent_bytes_max) return;
        writer.bytes(tag, written);
    }
}

// Nothing where the entry is not one of a peer: the message around it may still be of use.
std::optional<WirePeer> read_peer(Bytes bytes, const DhtLimits& limits) {
    if (bytes.size() > limits.peer_bytes_max) return std::nullopt;
    std::optional<PeerId> id;
    std::vector<Multiaddr> addresses;
    auto connection = ConnectionType::not_connected;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    while (true) {
        const auto has_field = reader.next(field);
        if (!has_field) return std::nullopt;
        if (!*has_field) break;
        if (field.tag == 1) {
            auto read = PeerId::from_bytes(field.bytes);
            if (!read) return std::nullopt;
            id = std::move(*read);
        } else if (field.tag == 2 && field.type == codec::WireType::bytes) {
            auto address = Multiaddr::from_bytes(field.bytes);
            if (address && addresses.size() < limits.addresses_max)
                addresses.push_back(std::move(*address));
        } else if (field.tag == 3 && field.number <= 3) {
            connection = static_cast<ConnectionType>(field.number);
        }
    }
    if (!id) return std::nullopt;
    return WirePeer{
        .peer = std::move(*id), .addresses = std::move(addresses), .connection = connection};
}

Result<> read_peer_into(std::vector<WirePeer>& peers,
                        const codec::ProtoField& field,
                        const DhtLimits& limits) {
    KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
    if (peers.size() >= limits.peers_max) return {};
    auto peer = read_peer(bytes, limits);
    if (!peer) return {};
    const auto is_same = [&](const WirePeer& other) {
        return other.peer == peer->peer;
    };
    if (std::ranges::none_of(peers, is_same)) peers.push_back(std::move(*peer));
    return {};
}

Result<codec::Buffer> read_bounded(const codec::ProtoField& field,
                                   std::size_t bytes_max,
                                   const char* what) {
    KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
    if (bytes.size() > bytes_max)
        return fail(Errc::limit_exceeded,
                    std::string(what) + " of " + std::to_string(bytes.size()) + " bytes; at most " +
                        std::to_string(bytes_max) + " are taken");
    return codec::to_buffer(bytes);
}

Result<WireRecord> read_record(const codec::ProtoField& field, const DhtLimits& limits) {
    KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
    WireRecord record;
    codec::ProtoReader reader(bytes);
    codec::ProtoField part;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(part));
        if (!has_field) return record;
        if (part.tag == 1) {
            KWAAI_TRY(record.key, read_bounded(part, limits.key_bytes_max, "a record's key"));
        } else if (part.tag == 2) {
            KWAAI_TRY(record.value, read_bounded(part, limits.value_bytes_max, "a value"));
        }
    }
}

Result<> read_field(const codec::ProtoField& field, const DhtLimits& limits, Message& into) {
    switch (field.tag) {
        case kType: {
            KWAAI_TRY(const std::uint64_t type, codec::field_u64(field));
            if (type > static_cast<std::uint64_t>(MessageType::ping))
                return fail(Errc::malformed, "kad: message type " + std::to_string(type));
            into.type = static_cast<MessageType>(type);
            return {};
        }
        case kKey: {
            KWAAI_TRY(into.key, read_bounded(field, limits.key_bytes_max, "a key"));
            return {};
        }
        case kRecord: {
            KWAAI_TRY(into.record, read_record(field, limits));
            return {};
        }
        case kCloser: return read_peer_into(into.closer, field, limits);
        case kProviders: return read_peer_into(into.providers, field, limits);
        default: return {};
    }
}

}  // namespace

codec::Buffer encode_message(const Message& message, const DhtLimits& limits) {
    codec::Buffer body;
    codec::ProtoWriter writer(body);
    writer.varint(kType, static_cast<std::uint64_t>(message.type));
    writer.bytes(kKey, message.key);
    if (message.record) {
        codec::Buffer record;
        codec::ProtoWriter record_writer(record);
        record_writer.bytes(1, message.record->key);
        record_writer.bytes(2, message.record->value);
        writer.bytes(kRecord, record);
    }
    // Providers first, into what room there is; the order of fields means nothing to a reader.
    write_peers(body, kProviders, message.providers, limits);
    write_peers(body, kCloser, message.closer, limits);
    codec::Buffer framed;
    codec::append_varint(framed, body.size());
    codec::append(framed, body);
    return framed;
}

Result<Message> decode_message(Bytes bytes, const DhtLimits& limits) {
    Message message;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return message;
        KWAAI_CHECKED(read_field(field, limits, message));
    }
}

}  // namespace kwaai::p2p::kad
