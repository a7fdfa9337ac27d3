#include "codec/protobuf.hpp"

#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include <protozero/exception.hpp>
#include <protozero/varint.hpp>

#include "base/check.hpp"
#include "base/checked.hpp"
#include "codec/varint.hpp"

namespace kwaai::codec {
namespace {

constexpr std::uint64_t kTagMax = (std::uint64_t{1} << 29) - 1;

std::unexpected<Error> malformed_field(const ProtoField& field, std::string_view wanted) {
    return fail(
        Errc::malformed,
        "field " + std::to_string(field.tag) + " of a message is no " + std::string(wanted));
}

Result<Bytes> take(Bytes& rest, std::uint64_t count) {
    if (count > rest.size())
        return fail(Errc::malformed,
                    "a field of " + std::to_string(count) + " bytes in a message of which " +
                        std::to_string(rest.size()) + " are left");
    const Bytes taken = rest.first(static_cast<std::size_t>(count));
    rest = rest.subspan(taken.size());
    return taken;
}

/// A number of sizeof(T) bytes, little end first as this machine.
template <class T>
Result<T> take_fixed(Bytes& rest) {
    static_assert(std::endian::native == std::endian::little);
    KWAAI_TRY(const Bytes bytes, take(rest, sizeof(T)));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
}

}  // namespace

Result<std::uint64_t> take_varint(Bytes& rest) {
    const auto* const begin = reinterpret_cast<const char*>(rest.data());
    const char* data = begin;
    std::uint64_t value = 0;
    try {
        value = protozero::decode_varint(&data, begin + rest.size());
    } catch (const protozero::exception& error) {
        return fail(Errc::malformed, std::string("a varint in a message: ") + error.what());
    }
    rest = rest.subspan(static_cast<std::size_t>(data - begin));
    return value;
}

Result<double> take_double(Bytes& rest) {
    return take_fixed<double>(rest);
}

Result<bool> ProtoReader::next(ProtoField& field) {
    if (rest_.empty()) return false;
    KWAAI_TRY(const std::uint64_t key, take_varint(rest_));
    const std::uint64_t tag = key >> 3;
    if (tag == 0 || tag > kTagMax)
        return fail(Errc::malformed, "a message has a field with the tag " + std::to_string(tag));
    field = {.tag = static_cast<std::uint32_t>(tag), .type = static_cast<WireType>(key & 7)};
    switch (field.type) {
        case WireType::varint: {
            KWAAI_TRY(field.number, take_varint(rest_));
            return true;
        }
        case WireType::fixed64: {
            KWAAI_TRY(field.number, take_fixed<std::uint64_t>(rest_));
            return true;
        }
        case WireType::bytes: {
            KWAAI_TRY(const std::uint64_t size, take_varint(rest_));
            KWAAI_TRY(field.bytes, take(rest_, size));
            return true;
        }
        case WireType::fixed32: {
            KWAAI_TRY(field.number, take_fixed<std::uint32_t>(rest_));
            return true;
        }
    }
    return fail(Errc::malformed,
                "field " + std::to_string(tag) + " of a message has the wire type " +
                    std::to_string(key & 7));
}

Result<Bytes> field_bytes(const ProtoField& field) {
    if (field.type != WireType::bytes) return malformed_field(field, "run of bytes");
    return field.bytes;
}

Result<std::string_view> field_text(const ProtoField& field) {
    if (field.type != WireType::bytes) return malformed_field(field, "text");
    return as_text(field.bytes);
}

Result<std::uint64_t> field_u64(const ProtoField& field) {
    if (field.type != WireType::varint) return malformed_field(field, "varint");
    return field.number;
}

Result<std::uint32_t> field_u32(const ProtoField& field) {
    KWAAI_TRY(const std::uint64_t number, field_u64(field));
    const auto value = checked_cast<std::uint32_t>(number);
    if (!value) return malformed_field(field, "number of 32 bits");
    return *value;
}

Result<bool> field_bool(const ProtoField& field) {
    KWAAI_TRY(const std::uint64_t number, field_u64(field));
    return number != 0;
}

Result<std::uint64_t> field_fixed64(const ProtoField& field) {
    if (field.type != WireType::fixed64) return malformed_field(field, "number of 8 bytes");
    return field.number;
}

Result<double> field_double(const ProtoField& field) {
    if (field.type != WireType::fixed64) return malformed_field(field, "float of 8 bytes");
    return std::bit_cast<double>(field.number);
}

namespace {

void append_key(Buffer& out, std::uint32_t tag, WireType type) {
    KWAAI_CHECK(tag >= 1 && tag <= kTagMax, "a tag of protobuf");
    append_varint(out, std::uint64_t{tag} << 3 | static_cast<std::uint64_t>(type));
}

}  // namespace

void ProtoWriter::varint(std::uint32_t tag, std::uint64_t value) {
    append_key(out_, tag, WireType::varint);
    append_varint(out_, value);
}

void ProtoWriter::fixed64(std::uint32_t tag, std::uint64_t value) {
    append_key(out_, tag, WireType::fixed64);
    append(out_, std::as_bytes(std::span(&value, 1)));
}

void ProtoWriter::float64(std::uint32_t tag, double value) {
    fixed64(tag, std::bit_cast<std::uint64_t>(value));
}

void ProtoWriter::bytes(std::uint32_t tag, Bytes value) {
    append_key(out_, tag, WireType::bytes);
    append_varint(out_, value.size());
    append(out_, value);
}

}  // namespace kwaai::codec
