#include "hivemind/tensor_wire.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.hpp"
#include "base/checked.hpp"
#include "codec/protobuf.hpp"
#include "codec/varint.hpp"
#include "tensor/dtype.hpp"

namespace kwaai::hivemind {
namespace {

static_assert(std::endian::native == std::endian::little, "buffers are little-endian");

constexpr std::size_t kExtentsMax = 16;
constexpr std::size_t kElementsMax = std::size_t{1} << 31;
constexpr std::size_t kTensorsMax = 1024;  // of one joiner
constexpr float kLargestHalf = 65504.0f;

// Fields of Tensor.
constexpr std::uint32_t kBuffer = 1;
constexpr std::uint32_t kShape = 2;
constexpr std::uint32_t kRequiresGrad = 3;
constexpr std::uint32_t kDtype = 4;
constexpr std::uint32_t kCompression = 5;
constexpr std::uint32_t kChunks = 6;

struct TypeInfo {
    WireType type;
    std::string_view name;
    std::size_t size;
};

constexpr std::array kTypes = {
    TypeInfo{WireType::float32, "float32", 4},
    TypeInfo{WireType::float16, "float16", 2},
    TypeInfo{WireType::bfloat16, "bfloat16", 2},
    TypeInfo{WireType::float64, "float64", 8},
    TypeInfo{WireType::int64, "int64", 8},
    TypeInfo{WireType::int32, "int32", 4},
    TypeInfo{WireType::uint8, "uint8", 1},
    TypeInfo{WireType::boolean, "bool", 1},
};

const TypeInfo& info_of(WireType type) {
    const TypeInfo& info = kTypes[static_cast<std::size_t>(type)];
    KWAAI_CHECK(info.type == type, "kTypes is not in the order of WireType");
    return info;
}

Result<WireType> to_type(std::string_view name) {
    for (const TypeInfo& info : kTypes)
        if (info.name == name) return info.type;
    return fail(Errc::unsupported, "a tensor of type \"" + std::string(name.substr(0, 32)) + "\"");
}

Result<std::size_t> checked_count(std::span<const std::uint32_t> shape) {
    std::size_t count = 1;
    for (const std::uint32_t extent : shape) {
        const auto product = checked_mul<std::size_t>(count, extent);
        if (!product || *product > kElementsMax)
            return fail(Errc::malformed, "a tensor of more than 2^31 values");
        count = *product;
    }
    return count;
}

// Hivemind's default for bfloat16 outside of Petals: 4 bytes a value, an f32.
bool is_legacy_bfloat16(const WireTensor& tensor, std::size_t count) {
    return tensor.type == WireType::bfloat16 && tensor.compression == Compression::none &&
           count != 0 && tensor.buffer.size() / count == 4;
}

// Bytes that shape, type and compression ask for; nothing for encodings that we do not read. Of
// bfloat16 the legacy form has twice as many.
std::optional<std::size_t> buffer_bytes(const WireTensor& tensor, std::size_t count) {
    switch (tensor.compression) {
        case Compression::none: return count * info_of(tensor.type).size;
        case Compression::float16: return count * 2;
        case Compression::meanstd_16bit:
        case Compression::quantile_8bit:
        case Compression::uniform_8bit:
        case Compression::blockwise_8bit: return std::nullopt;
    }
    return std::nullopt;
}

Result<> check_size(const WireTensor& tensor) {
    KWAAI_TRY(const std::size_t count, checked_count(tensor.shape));
    const std::optional<std::size_t> wanted = buffer_bytes(tensor, count);
    if (!wanted || tensor.buffer.size() == *wanted) return {};
    const bool is_legacy = is_legacy_bfloat16(tensor, count) && tensor.buffer.size() == 4 * count;
    if (is_legacy) return {};
    return fail(Errc::malformed,
                "a tensor of " + std::to_string(count) + " values of " +
                    std::string(info_of(tensor.type).name) + " with " +
                    std::to_string(tensor.buffer.size()) + " bytes instead of " +
                    std::to_string(*wanted));
}

Result<> append_extent(WireTensor& tensor, std::uint64_t extent) {
    const auto value = checked_cast<std::uint32_t>(extent);
    if (!value) return fail(Errc::malformed, "a tensor with an extent over 2^32");
    if (tensor.shape.size() == kExtentsMax)
        return fail(Errc::malformed, "a tensor of more than 16 dimensions");
    tensor.shape.push_back(*value);
    return {};
}

// Packed, as proto3 writes it, or one by one, as proto3 reads it too.
Result<> read_shape(WireTensor& tensor, const codec::ProtoField& field) {
    if (field.type == codec::WireType::varint) return append_extent(tensor, field.number);
    KWAAI_TRY(Bytes rest, codec::field_bytes(field));
    while (!rest.empty()) {
        KWAAI_TRY(const std::uint64_t extent, codec::take_varint(rest));
        KWAAI_CHECKED(append_extent(tensor, extent));
    }
    return {};
}

struct Message {
    WireTensor tensor;
    Bytes buffer;
    std::string_view dtype;  // empty in all chunks but the first
};

Result<> read_field(Message& message, const codec::ProtoField& field) {
    WireTensor& tensor = message.tensor;
    switch (field.tag) {
        case kBuffer: {
            KWAAI_TRY(message.buffer, codec::field_bytes(field));
            break;
        }
        case kShape: return read_shape(tensor, field);
        case kRequiresGrad: {
            KWAAI_TRY(tensor.requires_grad, codec::field_bool(field));
            break;
        }
        case kDtype: {
            KWAAI_TRY(message.dtype, codec::field_text(field));
            break;
        }
        case kCompression: {
            KWAAI_TRY(const std::uint32_t number, codec::field_u32(field));
            if (number > static_cast<std::uint32_t>(Compression::blockwise_8bit))
                return fail(Errc::unsupported,
                            "a tensor with compression " + std::to_string(number));
            tensor.compression = static_cast<Compression>(number);
            break;
        }
        case kChunks: {
            KWAAI_TRY(tensor.chunks, codec::field_u32(field));
            break;
        }
        default: break;
    }
    return {};
}

// The type is set, the buffer is not.
Result<Message> read_message(Bytes bytes) {
    Message message;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    for (;;) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        KWAAI_CHECKED(read_field(message, field));
    }
    if (message.dtype.empty()) return message;
    KWAAI_TRY(message.tensor.type, to_type(message.dtype));
    if (message.tensor.type == WireType::bfloat16 &&
        message.tensor.compression == Compression::float16)
        return fail(Errc::malformed, "a bfloat16 tensor in the compression FLOAT16");
    return message;
}

std::uint16_t to_bfloat16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);  // stays a NaN
    return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

float clamp_to_half(float value) {
    return std::isnan(value) ? value : std::clamp(value, -kLargestHalf, kLargestHalf);
}

template <class Fn>
void store_halves(codec::Buffer& out, std::span<const float> values, Fn convert) {
    out.resize(values.size() * 2);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint16_t half = convert(values[i]);
        std::memcpy(out.data() + 2 * i, &half, sizeof half);
    }
}

void append_header(codec::Buffer& out, const WireTensor& tensor) {
    codec::ProtoWriter writer(out);
    if (!tensor.shape.empty()) {
        codec::Buffer packed;
        for (const std::uint32_t extent : tensor.shape)
            codec::append_varint(packed, extent);
        writer.bytes(kShape, packed);
    }
    if (tensor.requires_grad) writer.varint(kRequiresGrad, 1);
    writer.text(kDtype, info_of(tensor.type).name);
    if (tensor.compression != Compression::none)
        writer.varint(kCompression, static_cast<std::uint64_t>(tensor.compression));
    if (tensor.chunks != 0) writer.varint(kChunks, tensor.chunks);
}

}  // namespace

std::string_view to_string(WireType type) {
    return info_of(type).name;
}

std::size_t size_of(WireType type) {
    return info_of(type).size;
}

std::size_t WireTensor::element_count() const {
    std::size_t count = 1;
    for (const std::uint32_t extent : shape)
        count *= extent;
    return count;
}

WireTensor make_tensor(std::vector<std::uint32_t> shape,
                       std::span<const float> values,
                       WireType type,
                       Compression compression) {
    WireTensor tensor{.shape = std::move(shape), .type = type, .compression = compression};
    KWAAI_CHECK(tensor.element_count() == values.size(), "a tensor's shape fits its values");
    const bool is_half = compression == Compression::float16;
    KWAAI_CHECK(is_half || compression == Compression::none, "a compression that is not written");
    if (is_half && type != WireType::bfloat16) {
        store_halves(tensor.buffer, values, [](float value) {
            return tensor::float_to_half(clamp_to_half(value));
        });
    } else if (type == WireType::float16 && !is_half) {
        store_halves(tensor.buffer, values, tensor::float_to_half);
    } else if (type == WireType::bfloat16 && !is_half) {
        store_halves(tensor.buffer, values, to_bfloat16);
    } else {
        KWAAI_CHECK(type == WireType::float32, "a type that f32 values are not sent in");
        tensor.buffer = codec::to_buffer(std::as_bytes(values));
    }
    return tensor;
}

WireTensor make_int_tensor(std::vector<std::uint32_t> shape, std::span<const std::int64_t> values) {
    WireTensor tensor{.shape = std::move(shape), .type = WireType::int64};
    KWAAI_CHECK(tensor.element_count() == values.size(), "a tensor's shape fits its values");
    tensor.buffer = codec::to_buffer(std::as_bytes(values));
    return tensor;
}

WireTensor make_dummy(WireType type) {
    return WireTensor{.shape = {0}, .type = type};
}

TensorFrame frame_tensor(const WireTensor& tensor) {
    TensorFrame frame;
    if (!tensor.buffer.empty()) {
        codec::append_varint(frame.head, kBuffer << 3 | 2u);
        codec::append_varint(frame.head, tensor.buffer.size());
    }
    append_header(frame.tail, tensor);
    return frame;
}

void encode_tensor(codec::Buffer& out, const WireTensor& tensor) {
    if (!tensor.buffer.empty()) codec::ProtoWriter(out).bytes(kBuffer, tensor.buffer);
    append_header(out, tensor);
}

Result<WireTensor> decode_tensor(Bytes bytes) {
    KWAAI_TRY(Message message, read_message(bytes));
    if (message.dtype.empty()) return fail(Errc::malformed, "a tensor without a type");
    message.tensor.buffer = codec::to_buffer(message.buffer);
    if (message.tensor.chunks <= 1) {
        KWAAI_CHECKED(check_size(message.tensor));
    }
    KWAAI_CHECKED(checked_count(message.tensor.shape));
    return std::move(message.tensor);
}

std::vector<codec::Buffer> encode_chunks(const WireTensor& tensor, std::size_t chunk_bytes) {
    KWAAI_CHECK(chunk_bytes > 0, "a chunk has at least one byte");
    const Bytes all = tensor.buffer;
    const std::size_t count = (all.size() + chunk_bytes - 1) / chunk_bytes;
    std::vector<codec::Buffer> messages;
    for (std::size_t start = 0; start < all.size() || messages.empty(); start += chunk_bytes) {
        const Bytes piece = all.subspan(start, std::min(chunk_bytes, all.size() - start));
        codec::Buffer& message = messages.emplace_back();
        if (!piece.empty()) codec::ProtoWriter(message).bytes(kBuffer, piece);
        if (start != 0) continue;
        append_header(message,
                      WireTensor{.shape = tensor.shape,
                                 .type = tensor.type,
                                 .compression = tensor.compression,
                                 .requires_grad = tensor.requires_grad,
                                 .chunks = static_cast<std::uint32_t>(count)});
    }
    return messages;
}

Result<> TensorJoiner::push(Bytes bytes) {
    KWAAI_TRY(Message message, read_message(bytes));
    if (message.buffer.size() > bytes_left_ || tensors_.size() == kTensorsMax)
        return fail(Errc::limit_exceeded, "more tensors than are read");
    bytes_left_ -= message.buffer.size();
    if (!message.dtype.empty()) {
        if (!tensors_.empty()) {
            KWAAI_CHECKED(check_size(tensors_.back()));
        }
        KWAAI_CHECKED(checked_count(message.tensor.shape));
        tensors_.push_back(std::move(message.tensor));
    } else if (tensors_.empty()) {
        return fail(Errc::malformed, "a chunk of a tensor that has not begun");
    }
    codec::append(tensors_.back().buffer, message.buffer);
    return {};
}

Result<std::vector<WireTensor>> TensorJoiner::finish() {
    if (!tensors_.empty()) {
        KWAAI_CHECKED(check_size(tensors_.back()));
    }
    return std::move(tensors_);
}

Result<std::vector<float>> float_values(const WireTensor& tensor, const DecodeOptions& options) {
    const bool is_half = tensor.compression == Compression::float16;
    const bool is_float = tensor.type == WireType::float32 || tensor.type == WireType::float16 ||
                          tensor.type == WireType::bfloat16;
    if (!is_float || (!is_half && tensor.compression != Compression::none))
        return fail(Errc::unsupported,
                    "reading numbers from a tensor of " + std::string(to_string(tensor.type)) +
                        " in compression " +
                        std::to_string(static_cast<std::uint32_t>(tensor.compression)));
    KWAAI_CHECKED(check_size(tensor));
    const std::size_t count = tensor.element_count();
    std::vector<float> values(count);
    if (count == 0) return values;
    if (is_half || tensor.type == WireType::float16)
        tensor::dequantise(tensor::Dtype::f16, tensor.buffer, count, values.data());
    else if (tensor.type == WireType::bfloat16 && !is_legacy_bfloat16(tensor, count))
        tensor::dequantise(tensor::Dtype::bf16, tensor.buffer, count, values.data());
    else
        std::memcpy(values.data(), tensor.buffer.data(), count * sizeof(float));
    if (options.is_finite_required &&
        !std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
        return fail(Errc::malformed, "a tensor with values that are not finite");
    return values;
}

Result<std::vector<std::int64_t>> int_values(const WireTensor& tensor) {
    if (tensor.type != WireType::int64 || tensor.compression != Compression::none)
        return fail(Errc::unsupported,
                    "reading integers from a tensor of " + std::string(to_string(tensor.type)));
    KWAAI_CHECKED(check_size(tensor));
    std::vector<std::int64_t> values(tensor.element_count());
    if (!values.empty())
        std::memcpy(values.data(), tensor.buffer.data(), values.size() * sizeof(std::int64_t));
    return values;
}

}  // namespace kwaai::hivemind
