#include "p2p/protocol/identify_wire.hpp"

#include <utility>

#include "codec/protobuf.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::uint32_t kPublicKey = 1;
constexpr std::uint32_t kListenAddress = 2;
constexpr std::uint32_t kProtocol = 3;
constexpr std::uint32_t kObserved = 4;
constexpr std::uint32_t kProtocolVersion = 5;
constexpr std::uint32_t kAgent = 6;
constexpr std::uint32_t kSignedRecord = 8;
constexpr std::size_t kAgentBytesMax = 256;  // more is of no use to a reader

Result<> read_field(const codec::ProtoField& field, const Limits& limits, IdentifyMessage& into) {
    switch (field.tag) {
        case kPublicKey: {
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            into.public_key = codec::to_buffer(bytes);
            break;
        }
        case kListenAddress: {
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            auto address = Multiaddr::from_bytes(bytes);
            if (address && into.listen_addresses.size() < limits.addresses_per_peer)
                into.listen_addresses.push_back(std::move(*address));
            break;
        }
        case kProtocol: {
            KWAAI_TRY(const std::string_view text, codec::field_text(field));
            if (into.protocols.size() >= limits.identify_protocols_max)
                return fail(Errc::limit_exceeded,
                            "identify: more than " + std::to_string(limits.identify_protocols_max) +
                                " protocols");
            into.protocols.emplace_back(text);
            break;
        }
        case kObserved: {
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            auto address = Multiaddr::from_bytes(bytes);
            if (address) into.observed = std::move(*address);
            break;
        }
        case kProtocolVersion: {
            KWAAI_TRY(const std::string_view text, codec::field_text(field));
            into.protocol_version = text.substr(0, kAgentBytesMax);
            break;
        }
        case kAgent: {
            KWAAI_TRY(const std::string_view text, codec::field_text(field));
            into.agent = text.substr(0, kAgentBytesMax);
            break;
        }
        case kSignedRecord: {
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            into.signed_record = codec::to_buffer(bytes);
            break;
        }
        default: break;
    }
    return {};
}

}  // namespace

codec::Buffer encode_identify(const IdentifyMessage& message) {
    codec::Buffer out;
    codec::ProtoWriter writer(out);
    if (!message.public_key.empty()) writer.bytes(kPublicKey, message.public_key);
    for (const Multiaddr& address : message.listen_addresses)
        writer.bytes(kListenAddress, address.bytes());
    for (const std::string& protocol : message.protocols)
        writer.text(kProtocol, protocol);
    if (message.observed) writer.bytes(kObserved, message.observed->bytes());
    if (!message.protocol_version.empty()) writer.text(kProtocolVersion, message.protocol_version);
    if (!message.agent.empty()) writer.text(kAgent, message.agent);
    if (!message.signed_record.empty()) writer.bytes(kSignedRecord, message.signed_record);
    return out;
}

Result<IdentifyMessage> decode_identify(Bytes bytes, const Limits& limits) {
    IdentifyMessage message;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return message;
        KWAAI_CHECKED(read_field(field, limits, message));
    }
}

void merge_identify(IdentifyMessage& known, IdentifyMessage news) {
    if (!news.public_key.empty()) known.public_key = std::move(news.public_key);
    if (!news.listen_addresses.empty()) known.listen_addresses = std::move(news.listen_addresses);
    if (!news.protocols.empty()) known.protocols = std::move(news.protocols);
    if (news.observed) known.observed = std::move(news.observed);
    if (!news.protocol_version.empty()) known.protocol_version = std::move(news.protocol_version);
    if (!news.agent.empty()) known.agent = std::move(news.agent);
    if (!news.signed_record.empty()) known.signed_record = std::move(news.signed_record);
}

}  // namespace kwaai::p2p
