#include "hivemind/rpc_wire.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.hpp"
#include "base/utf8.hpp"
#include "codec/protobuf.hpp"
#include "codec/varint.hpp"
#include "crypto/random.hpp"

namespace kwaai::hivemind {
namespace {

constexpr std::size_t kTextBytesMax = 4096;
constexpr std::size_t kErrorFrameBytesMax = std::size_t{64} << 10;
constexpr std::size_t kFirstMemory = std::size_t{64} << 10;

// Fields of PersistentConnectionRequest. 2 to 6 are one oneof, in which the last one counts.
constexpr std::uint32_t kCallId = 1;
constexpr std::uint32_t kOneofFirst = 2;
constexpr std::uint32_t kCallUnary = 3;
constexpr std::uint32_t kUnaryResponse = 4;
constexpr std::uint32_t kOneofLast = 6;

// A length-delimited field without its bytes, all tags here being below 16.
void append_field_head(codec::Buffer& out, std::uint32_t tag, std::size_t size) {
    codec::append_varint(out, tag << 3 | 2u);
    codec::append_varint(out, size);
}

std::size_t field_size(std::size_t size) {
    return 1 + codec::varint_size(size) + size;
}

std::size_t inner_size(const UnaryRequest& request) {
    return field_size(request.peer.size()) + field_size(request.method.size()) +
           field_size(request.data.size());
}

std::size_t inner_size(const UnaryReply& reply) {
    return field_size(reply.data.size());
}

struct Envelope {
    std::optional<CallId> id;
    std::uint32_t content_tag = 0;
    Bytes content;
};

Result<CallId> to_call_id(const codec::ProtoField& field) {
    KWAAI_TRY(const Bytes bytes, codec::field_bytes(field));
    CallId id{};
    if (bytes.size() != id.size())
        return fail(Errc::malformed,
                    "a call id has 16 bytes, this one " + std::to_string(bytes.size()));
    std::ranges::copy(bytes, id.begin());
    return id;
}

Result<Envelope> decode_envelope(Bytes message) {
    Envelope envelope;
    codec::ProtoReader reader(message);
    codec::ProtoField field;
    for (;;) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        if (field.tag == kCallId) {
            KWAAI_TRY(envelope.id, to_call_id(field));
        } else if (field.tag >= kOneofFirst && field.tag <= kOneofLast) {
            KWAAI_TRY(envelope.content, codec::field_bytes(field));
            envelope.content_tag = field.tag;
        }
    }
    if (!envelope.id) return fail(Errc::malformed, "an envelope without a call id");
    return envelope;
}

}  // namespace

CallId make_call_id() {
    CallId id{};
    crypto::fill_random(id);
    id[6] = (id[6] & std::byte{0x0f}) | std::byte{0x40};  // version 4
    id[8] = (id[8] & std::byte{0x3f}) | std::byte{0x80};  // the variant of RFC 9562
    return id;
}

std::size_t envelope_size(const UnaryRequest& request) {
    return field_size(request.id.size()) + field_size(inner_size(request));
}

std::size_t envelope_size(const UnaryReply& reply) {
    return field_size(reply.id.size()) + field_size(inner_size(reply));
}

codec::Buffer encode_head(const UnaryRequest& request) {
    codec::Buffer out;
    codec::append_varint(out, envelope_size(request));
    codec::ProtoWriter writer(out);
    writer.bytes(kCallId, request.id);
    append_field_head(out, kCallUnary, inner_size(request));
    writer.bytes(1, request.peer);
    writer.text(2, request.method);
    append_field_head(out, 3, request.data.size());
    return out;
}

codec::Buffer encode_head(const UnaryReply& reply) {
    codec::Buffer out;
    codec::append_varint(out, envelope_size(reply));
    codec::ProtoWriter(out).bytes(kCallId, reply.id);
    append_field_head(out, kUnaryResponse, inner_size(reply));
    append_field_head(out, reply.is_error ? 2 : 1, reply.data.size());
    return out;
}

Result<UnaryRequest> decode_unary_request(Bytes message) {
    KWAAI_TRY(const Envelope envelope, decode_envelope(message));
    if (envelope.content_tag != kCallUnary)
        return fail(Errc::malformed, "an envelope without a call");
    std::optional<Bytes> peer;
    std::optional<Bytes> data;
    std::optional<std::string_view> method;
    codec::ProtoReader reader(envelope.content);
    codec::ProtoField field;
    for (;;) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        switch (field.tag) {
            case 1: {
                KWAAI_TRY(peer, codec::field_bytes(field));
                break;
            }
            case 2: {
                KWAAI_TRY(method, codec::field_text(field));
                break;
            }
            case 3: {
                KWAAI_TRY(data, codec::field_bytes(field));
                break;
            }
            default: break;
        }
    }
    if (!peer || !method || !data)
        return fail(Errc::malformed, "a call without its peer, method or data");
    return UnaryRequest{.id = *envelope.id, .peer = *peer, .method = *method, .data = *data};
}

Result<UnaryReply> decode_unary_reply(Bytes message) {
    KWAAI_TRY(const Envelope envelope, decode_envelope(message));
    if (envelope.content_tag != kUnaryResponse)
        return fail(Errc::malformed, "an envelope without a response");
    std::optional<Bytes> data;
    bool is_error = false;
    codec::ProtoReader reader(envelope.content);
    codec::ProtoField field;
    for (;;) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        if (field.tag != 1 && field.tag != 2) continue;
        KWAAI_TRY(data, codec::field_bytes(field));
        is_error = field.tag == 2;
    }
    if (!data) return fail(Errc::malformed, "a response that is neither data nor an error");
    return UnaryReply{.id = *envelope.id, .is_error = is_error, .data = *data};
}

FrameHeader encode_frame_header(FrameKind kind, std::uint64_t payload_bytes) {
    FrameHeader header{};
    header[0] = static_cast<std::byte>(kind);
    for (std::size_t i = kFrameHeaderBytes - 1; i > 0; --i, payload_bytes >>= 8)
        header[i] = static_cast<std::byte>(payload_bytes);
    return header;
}

codec::Buffer encode_error_frame(std::string_view text) {
    codec::Buffer payload;
    if (!text.empty()) codec::ProtoWriter(payload).text(1, text);
    const FrameHeader header = encode_frame_header(FrameKind::error, payload.size());
    codec::Buffer frame(header.size() + payload.size());
    std::ranges::copy(header, frame.begin());
    std::ranges::copy(payload, frame.begin() + kFrameHeaderBytes);
    return frame;
}

std::string clean_text(std::string_view text) {
    std::string clean = replace_invalid_utf8(text.substr(0, kTextBytesMax / 3));
    std::ranges::replace_if(clean, [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }, ' ');
    return clean;
}

Result<std::string> decode_error_text(Bytes payload) {
    std::string_view text;
    codec::ProtoReader reader(payload);
    codec::ProtoField field;
    for (;;) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        if (field.tag != 1) continue;
        KWAAI_TRY(text, codec::field_text(field));
    }
    return clean_text(text);
}

MutableBytes FrameReader::space() {
    if (header_bytes_ < kFrameHeaderBytes) return MutableBytes(header_).subspan(header_bytes_);
    if (filled_ == payload_.size())
        payload_.resize(std::min(length_, std::max(kFirstMemory, 2 * filled_)));
    return MutableBytes(payload_).subspan(filled_);
}

Result<bool> FrameReader::advance(std::size_t count) {
    if (header_bytes_ < kFrameHeaderBytes) {
        header_bytes_ += count;
        KWAAI_CHECK(header_bytes_ <= kFrameHeaderBytes, "more bytes than there was space for");
        if (header_bytes_ < kFrameHeaderBytes) return false;
        KWAAI_CHECKED(read_header());
    } else {
        filled_ += count;
        KWAAI_CHECK(filled_ <= payload_.size(), "more bytes than there was space for");
    }
    return filled_ == length_;
}

Result<> FrameReader::read_header() {
    if (header_[0] > std::byte{1})
        return fail(Errc::malformed,
                    "a frame begins with 0 or 1, this one with " +
                        std::to_string(std::to_integer<unsigned>(header_[0])));
    std::uint64_t length = 0;
    for (const std::byte byte : Bytes(header_).subspan(1))
        length = length << 8 | std::to_integer<std::uint64_t>(byte);
    const bool is_error = header_[0] == std::byte{1};
    const std::size_t bytes_max = is_error ? kErrorFrameBytesMax : payload_bytes_max_;
    if (length > bytes_max)
        return fail(Errc::limit_exceeded,
                    "a frame of " + std::to_string(length) + " bytes, at most " +
                        std::to_string(bytes_max) + " are read");
    length_ = static_cast<std::size_t>(length);
    return {};
}

Frame FrameReader::take() {
    KWAAI_CHECK(header_bytes_ == kFrameHeaderBytes && filled_ == length_,
                "a frame is taken before it is whole");
    Frame frame{.kind = static_cast<FrameKind>(header_[0]),
                .payload = std::exchange(payload_, codec::Buffer())};
    header_bytes_ = length_ = filled_ = 0;
    return frame;
}

}  // namespace kwaai::hivemind
