#include "p2p/nat/autonat_v2_wire.hpp"

#include <utility>

#include "codec/protobuf.hpp"

namespace kwaai::p2p::autonat_v2 {
namespace {

// Message: one of
constexpr std::uint32_t kDialRequest = 1;
constexpr std::uint32_t kDialResponse = 2;
constexpr std::uint32_t kDialDataRequest = 3;
constexpr std::uint32_t kDialDataResponse = 4;

Status status_of(std::uint64_t number) {
    switch (static_cast<Status>(number)) {
        case Status::request_rejected:
        case Status::dial_refused:
        case Status::ok: return static_cast<Status>(number);
        case Status::internal_error: break;
    }
    return Status::internal_error;
}

DialStatus dial_status_of(std::uint64_t number) {
    switch (static_cast<DialStatus>(number)) {
        case DialStatus::dial_error:
        case DialStatus::dial_back_error:
        case DialStatus::ok: return static_cast<DialStatus>(number);
        case DialStatus::unused: break;
    }
    return DialStatus::unused;
}

template <class Fn>
Result<> for_each_field(Bytes message, Fn take) {
    codec::ProtoReader reader(message);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return {};
        KWAAI_CHECKED(take(field));
    }
}

Result<Message> read_request(Bytes bytes) {
    DialRequest request;
    KWAAI_CHECKED(for_each_field(bytes, [&](const codec::ProtoField& field) -> Result<> {
        if (field.tag == 1) {
            KWAAI_TRY(const Bytes text, codec::field_bytes(field));
            if (request.addresses.size() >= kAddressesMax) return {};
            auto address = Multiaddr::from_bytes(text);
            request.addresses.emplace_back();
            if (address) request.addresses.back() = std::move(*address);
        } else if (field.tag == 2) {
            KWAAI_TRY(request.nonce, codec::field_fixed64(field));
        }
        return {};
    }));
    return request;
}

Result<Message> read_response(Bytes bytes) {
    DialResponse response;
    KWAAI_CHECKED(for_each_field(bytes, [&](const codec::ProtoField& field) -> Result<> {
        if (field.tag == 1) {
            KWAAI_TRY(const std::uint64_t number, codec::field_u64(field));
            response.status = status_of(number);
        } else if (field.tag == 2) {
            KWAAI_TRY(response.index, codec::field_u32(field));
        } else if (field.tag == 3) {
            KWAAI_TRY(const std::uint64_t number, codec::field_u64(field));
            response.dial_status = dial_status_of(number);
        }
        return {};
    }));
    return response;
}

Result<Message> read_data_request(Bytes bytes) {
    DialDataRequest request;
    KWAAI_CHECKED(for_each_field(bytes, [&](const codec::ProtoField& field) -> Result<> {
        if (field.tag == 1) {
            KWAAI_TRY(request.index, codec::field_u32(field));
        } else if (field.tag == 2) {
            KWAAI_TRY(request.bytes, codec::field_u64(field));
        }
        return {};
    }));
    return request;
}

Result<Message> read_data_response(Bytes bytes) {
    DialDataResponse response;
    KWAAI_CHECKED(for_each_field(bytes, [&](const codec::ProtoField& field) -> Result<> {
        if (field.tag != 1) return {};
        KWAAI_TRY(const Bytes data, codec::field_bytes(field));
        response.bytes = data.size();
        return {};
    }));
    return response;
}

struct Encoder {
    codec::Buffer& inner;

    std::uint32_t operator()(const DialRequest& request) const {
        codec::ProtoWriter writer(inner);
        for (const auto& address : request.addresses)
            writer.bytes(1, address ? address->bytes() : Bytes());
        writer.fixed64(2, request.nonce);
        return kDialRequest;
    }

    std::uint32_t operator()(const DialResponse& response) const {
        codec::ProtoWriter writer(inner);
        writer.varint(1, static_cast<std::uint64_t>(response.status));
        writer.varint(2, response.index);
        writer.varint(3, static_cast<std::uint64_t>(response.dial_status));
        return kDialResponse;
    }

    std::uint32_t operator()(const DialDataRequest& request) const {
        codec::ProtoWriter writer(inner);
        writer.varint(1, request.index);
        writer.varint(2, request.bytes);
        return kDialDataRequest;
    }

    std::uint32_t operator()(const DialDataResponse& response) const {
        const codec::Buffer zeros(response.bytes);
        codec::ProtoWriter(inner).bytes(1, zeros);
        return kDialDataResponse;
    }
};

}  // namespace

codec::Buffer encode(const Message& message) {
    codec::Buffer inner;
    const std::uint32_t tag = std::visit(Encoder{inner}, message);
    codec::Buffer out;
    codec::ProtoWriter(out).bytes(tag, inner);
    return out;
}

codec::Buffer encode_dial_back(std::uint64_t nonce) {
    codec::Buffer out;
    codec::ProtoWriter(out).fixed64(1, nonce);
    return out;
}

codec::Buffer encode_dial_back_response() {
    codec::Buffer out;
    codec::ProtoWriter(out).varint(1, 0);
    return out;
}

// Of several the last counts, as in protobuf.
Result<Message> decode(Bytes message) {
    std::optional<Message> found;
    KWAAI_CHECKED(for_each_field(message, [&](const codec::ProtoField& field) -> Result<> {
        if (field.tag < kDialRequest || field.tag > kDialDataResponse) return {};
        KWAAI_TRY(const Bytes inner, codec::field_bytes(field));
        switch (field.tag) {
            case kDialRequest: {
                KWAAI_TRY(found, read_request(inner));
                break;
            }
            case kDialResponse: {
                KWAAI_TRY(found, read_response(inner));
                break;
            }
            case kDialDataRequest: {
                KWAAI_TRY(found, read_data_request(inner));
                break;
            }
            default: {
                KWAAI_TRY(found, read_data_response(inner));
                break;
            }
        }
        return {};
    }));
    if (!found) return fail(Errc::malformed, "autonat: none of the messages of version 2");
    return std::move(*found);
}

Result<std::uint64_t> decode_dial_back(Bytes message) {
    std::uint64_t nonce = 0;
    KWAAI_CHECKED(for_each_field(message, [&](const codec::ProtoField& field) -> Result<> {
        if (field.tag != 1) return {};
        KWAAI_TRY(nonce, codec::field_fixed64(field));
        return {};
    }));
    return nonce;
}

}  // namespace kwaai::p2p::autonat_v2
