// Protobuf messages, field by field, over protozero.
#pragma once
#include <cstdint>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"

namespace kwaai::codec {

enum class WireType : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

/// One field of a message. `number` holds varint and fixed values, `bytes` a view into the message.
struct ProtoField {
    std::uint32_t tag = 0;
    WireType type = WireType::varint;
    std::uint64_t number = 0;
    Bytes bytes;
};

/// Walks the fields of a message in the order of their bytes:
///
///     ProtoReader reader(message);
///     ProtoField field;
///     while (true) {
///         KWAAI_TRY(const bool has_field, reader.next(field));
///         if (!has_field) break;
///         switch (field.tag) {
///             case 1: { KWAAI_TRY(result.id, field_bytes(field)); break; }
///
/// `Errc::malformed` for truncated fields, tag 0, groups and unknown wire types. The caller caps
/// repeated fields; unknown tags are for skipping.
class ProtoReader {
public:
    explicit ProtoReader(Bytes message) : rest_(message) {}

    /// False at the end of the message.
    [[nodiscard]] Result<bool> next(ProtoField& field);

private:
    Bytes rest_;
};

/// The field's value as the type that the schema says; `Errc::malformed` naming the field where
/// the wire type is another one (or the number does not fit).
[[nodiscard]] Result<Bytes> field_bytes(const ProtoField& field);
[[nodiscard]] Result<std::string_view> field_text(const ProtoField& field);  // any bytes, as text
[[nodiscard]] Result<std::uint64_t> field_u64(const ProtoField& field);      // a varint
[[nodiscard]] Result<std::uint32_t> field_u32(const ProtoField& field);
[[nodiscard]] Result<bool> field_bool(const ProtoField& field);
[[nodiscard]] Result<std::uint64_t> field_fixed64(const ProtoField& field);
[[nodiscard]] Result<double> field_double(const ProtoField& field);

/// The next number of a packed repeated field, taken off the front of `rest`, which is not empty.
/// A writer may also leave the field unpacked: read both.
[[nodiscard]] Result<std::uint64_t> take_varint(Bytes& rest);
[[nodiscard]] Result<double> take_double(Bytes& rest);

/// Appends fields to a buffer, in the order of the calls: deterministic bytes.
class ProtoWriter {
public:
    explicit ProtoWriter(Buffer& out) : out_(out) {}

    void varint(std::uint32_t tag, std::uint64_t value);
    void fixed64(std::uint32_t tag, std::uint64_t value);
    void float64(std::uint32_t tag, double value);
    void bytes(std::uint32_t tag, Bytes value);

    void text(std::uint32_t tag, std::string_view value) { bytes(tag, as_bytes(value)); }

private:
    Buffer& out_;
};

}  // namespace kwaai::codec
