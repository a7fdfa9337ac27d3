// Arbitrary bytes as a message: the fields that are read, written again, read as the same fields.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "codec/protobuf.hpp"

using namespace kwaai;
using namespace kwaai::codec;

namespace {

void write(ProtoWriter& writer, const ProtoField& field) {
    switch (field.type) {
        case WireType::varint: writer.varint(field.tag, field.number); break;
        case WireType::fixed64: writer.fixed64(field.tag, field.number); break;
        case WireType::bytes: writer.bytes(field.tag, field.bytes); break;
        case WireType::fixed32: break;
    }
}

/// Every field, as often as the schema may ask.
void ask(const ProtoField& field) {
    (void)field_bytes(field);
    (void)field_text(field);
    (void)field_u64(field);
    (void)field_u32(field);
    (void)field_bool(field);
    (void)field_fixed64(field);
    (void)field_double(field);
    for (Bytes rest = field.bytes; !rest.empty();) {
        if (!take_varint(rest)) break;
    }
    for (Bytes rest = field.bytes; !rest.empty();) {
        if (!take_double(rest)) break;
    }
}

/// Writes the fields that are well again.
Buffer rewritten(Bytes message) {
    Buffer out;
    ProtoWriter writer(out);
    ProtoReader reader(message);
    ProtoField field;
    for (;;) {
        const auto has_field = reader.next(field);
        if (!has_field || !*has_field) return out;
        ask(field);
        write(writer, field);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Buffer once = rewritten(std::as_bytes(std::span(data, size)));
    if (rewritten(once) != once) std::abort();
    return 0;
}
