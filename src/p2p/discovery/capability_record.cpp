#include "p2p/discovery/capability_record.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "codec/protobuf.hpp"
#include "p2p/envelope.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::string_view kDomain = "kwaai-capability";
constexpr std::string_view kPayloadType = "/kwaai/capability";

codec::Buffer write_model(const ModelOffer& model) {
    codec::Buffer out;
    codec::ProtoWriter writer(out);
    writer.text(1, model.name);
    writer.varint(2, model.begin);
    writer.varint(3, model.end);
    writer.text(4, model.rows);
    return out;
}

codec::Buffer write_payload(const Capability& capability) {
    codec::Buffer out;
    codec::ProtoWriter writer(out);
    writer.varint(1, capability.sequence);
    writer.varint(2, capability.expires);
    for (const Multiaddr& address : capability.addresses)
        writer.bytes(3, address.bytes());
    for (const std::string& name : capability.names)
        writer.text(4, name);
    for (const ModelOffer& model : capability.models)
        writer.bytes(5, write_model(model));
    writer.varint(6, capability.memory_bytes);
    writer.float64(7, capability.rows_per_second);
    return out;
}

Result<std::string> read_name(const codec::ProtoField& field) {
    KWAAI_TRY(const std::string_view text, codec::field_text(field));
    if (text.empty() || text.size() > kCapabilityBytesMax)
        return fail(Errc::limit_exceeded,
                    "a name of " + std::to_string(text.size()) + " bytes, and 1 to " +
                        std::to_string(kCapabilityBytesMax) + " are taken");
    return std::string(text);
}

Result<ModelOffer> read_model(Bytes bytes) {
    ModelOffer model;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        switch (field.tag) {
            case 1: {
                KWAAI_TRY(model.name, read_name(field));
                break;
            }
            case 2: {
                KWAAI_TRY(model.begin, codec::field_u32(field));
                break;
            }
            case 3: {
                KWAAI_TRY(model.end, codec::field_u32(field));
                break;
            }
            case 4: {
                KWAAI_TRY(model.rows, read_name(field));
                break;
            }
            default: break;
        }
    }
    if (model.name.empty() || model.begin >= model.end)
        return fail(Errc::malformed,
                    "blocks " + std::to_string(model.begin) + ":" + std::to_string(model.end) +
                        " of \"" + model.name + "\"");
    return model;
}

Result<> check_count(std::size_t count, std::size_t most, std::string_view what) {
    if (count < most) return {};
    return fail(Errc::limit_exceeded,
                "more than " + std::to_string(most) + " " + std::string(what));
}

Result<> read_list_field(const codec::ProtoField& field, Capability& into) {
    switch (field.tag) {
        case 3: {
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            KWAAI_CHECKED(check_count(into.addresses.size(), kCapabilitiesMax, "addresses"));
            auto address = Multiaddr::from_bytes(bytes);
            if (address) into.addresses.push_back(std::move(*address));
            break;
        }
        case 4: {
            KWAAI_CHECKED(check_count(into.names.size(), kCapabilitiesMax, "names"));
            KWAAI_TRY(std::string name, read_name(field));
            into.names.push_back(std::move(name));
            break;
        }
        case 5: {
            KWAAI_CHECKED(check_count(into.models.size(), kModelOffersMax, "models"));
            KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
            KWAAI_TRY(ModelOffer model, read_model(bytes));
            into.models.push_back(std::move(model));
            break;
        }
        default: break;
    }
    return {};
}

Result<> read_field(const codec::ProtoField& field, Capability& into) {
    switch (field.tag) {
        case 1: {
            KWAAI_TRY(into.sequence, codec::field_u64(field));
            break;
        }
        case 2: {
            KWAAI_TRY(into.expires, codec::field_u64(field));
            break;
        }
        case 6: {
            KWAAI_TRY(into.memory_bytes, codec::field_u64(field));
            break;
        }
        case 7: {
            KWAAI_TRY(into.rows_per_second, codec::field_double(field));
            break;
        }
        default: return read_list_field(field, into);
    }
    return {};
}

Result<Capability> read_payload(Bytes payload) {
    Capability capability;
    codec::ProtoReader reader(payload);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        KWAAI_CHECKED(read_field(field, capability));
    }
    if (!std::isfinite(capability.rows_per_second) || capability.rows_per_second < 0)
        return fail(Errc::malformed, "a speed that is no number");
    return capability;
}

}  // namespace

bool Capability::offers(std::string_view name) const {
    return std::ranges::find(names, name) != names.end();
}

Result<codec::Buffer> seal_capability(const crypto::PrivateKey& key, const Capability& capability) {
    const codec::Buffer payload = write_payload(capability);
    auto readable = read_payload(payload);
    if (!readable) return forward_error(readable, "a capability record");
    codec::Buffer sealed = seal_envelope(key, kDomain, as_bytes(kPayloadType), payload);
    if (sealed.size() > kCapabilityRecordBytesMax)
        return fail(Errc::limit_exceeded,
                    "a capability record of " + std::to_string(sealed.size()) + " bytes, and " +
                        std::to_string(kCapabilityRecordBytesMax) + " are taken");
    return sealed;
}

Result<CapabilityRecord> open_capability(Bytes envelope) {
    if (envelope.size() > kCapabilityRecordBytesMax)
        return fail(Errc::limit_exceeded,
                    "a capability record of " + std::to_string(envelope.size()) + " bytes");
    KWAAI_TRY(const Envelope opened, open_envelope(envelope, kDomain));
    if (as_text(opened.payload_type) != kPayloadType)
        return fail(Errc::malformed, "a signed envelope that holds no capability record");
    auto capability = read_payload(opened.payload);
    if (!capability) return forward_error(capability, "a capability record");
    return CapabilityRecord{.peer = PeerId::of(opened.signer),
                            .capability = std::move(*capability)};
}

}  // namespace kwaai::p2p
