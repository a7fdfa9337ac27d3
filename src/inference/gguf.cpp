// GGUF versions 2 and 3, little-endian: docs/formats/gguf.md. Every count and length is checked
// against what is left of the file before it sizes anything.
#include <algorithm>
#include <numeric>

#include "base/checked.hpp"
#include "inference/gguf_stream.hpp"
#include "inference/gguf_types.hpp"
#include "inference/model_readers.hpp"

namespace kwaai::inference {
namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kKeyBytesMax = 65535;
constexpr std::uint64_t kTensorNameBytesMax = 63;
constexpr std::uint64_t kStringBytesMax = std::uint64_t{16} << 20;  // of a string by itself
constexpr std::uint64_t kElementBytesMax = std::uint64_t{1} << 20;  // of a string in an array
constexpr std::uint64_t kArraySizeMax = std::uint64_t{1} << 23;
constexpr std::uint64_t kPairBytesMin = 13;    // key length, type, one byte
constexpr std::uint64_t kTensorBytesMin = 32;  // name length, rank, one extent, type, offset
constexpr std::uint64_t kAlignmentMin = 8;
constexpr std::uint64_t kAlignmentMax = std::uint64_t{1} << 20;
constexpr std::uint64_t kAlignmentDefault = 32;

/// Types of metadata values by their number in the file, which is cast before it is checked.
enum class ValueType : std::uint32_t {  // NOLINT(performance-enum-size)
    u8,
    i8,
    u16,
    i16,
    u32,
    i32,
    f32,
    boolean,
    string,
    array,
    u64,
    i64,
    f64,
};

/// Bytes of one element in an array, the least for a string; 0 for arrays and unknown types.
std::uint64_t element_bytes_min(ValueType type) {
    switch (type) {
        case ValueType::u8:
        case ValueType::i8:
        case ValueType::boolean: return 1;
        case ValueType::u16:
        case ValueType::i16: return 2;
        case ValueType::u32:
        case ValueType::i32:
        case ValueType::f32: return 4;
        case ValueType::u64:
        case ValueType::i64:
        case ValueType::f64:
        case ValueType::string: return 8;
        case ValueType::array: return 0;
    }
    return 0;
}

Result<bool> to_boolean(std::uint8_t byte) {
    if (byte > 1) {
        return fail(Errc::malformed, "a boolean is " + std::to_string(byte) + ", not 0 or 1");
    }
    return byte == 1;
}

/// One file being read: preamble, metadata, tensor list, then the check of where tensors lie.
class Reader {
public:
    explicit Reader(const ByteSource& source) : source_(source), stream_(source) {}

    Result<void> read(ModelFile& model) {
        KWAAI_CHECKED(read_preamble());
        for (std::uint64_t i = 0; i < pair_count_; ++i) {
            KWAAI_CHECKED(read_pair(model.metadata));
        }
        KWAAI_TRY(const std::uint64_t alignment, read_alignment(model.metadata));
        for (std::uint64_t i = 0; i < tensor_count_; ++i) {
            KWAAI_TRY(TensorInfo tensor, read_tensor());
            model.tensors.push_back(std::move(tensor));
        }
        KWAAI_CHECKED(check_unique_names(model.tensors));
        return place_tensors(model.tensors, alignment);
    }

private:
    Result<void> read_preamble();
    Result<void> read_pair(Metadata& metadata);
    Result<MetadataValue> read_value(ValueType type);
    Result<MetadataValue> read_array();
    Result<std::vector<std::string>> read_strings(std::uint64_t count);
    Result<std::uint64_t> read_alignment(const Metadata& metadata) const;
    Result<TensorInfo> read_tensor();
    Result<void> read_shape(TensorInfo& tensor);
    Result<void> place_tensors(std::vector<TensorInfo>& tensors, std::uint64_t alignment) const;

    /// `count` numbers of type From as a vector of To; the caller has checked that they fit.
    template <class From, class To>
    Result<MetadataValue> read_numbers(std::uint64_t count) {
        KWAAI_TRY(const Bytes bytes, stream_.take(count * sizeof(From)));
        std::vector<To> numbers;
        numbers.reserve(static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
            From number;
            std::memcpy(&number, bytes.data() + i * sizeof(From), sizeof(From));
            if constexpr (std::same_as<From, std::uint64_t>) {
                if (number > std::uint64_t{INT64_MAX}) {
                    return fail(Errc::malformed,
                                "an integer of an array is " + std::to_string(number) +
                                    ", more than 2^63 - 1");
                }
            }
            numbers.push_back(static_cast<To>(number));
        }
        return numbers;
    }

    template <class From, class To>
    Result<MetadataValue> read_number() {
        KWAAI_TRY(const auto number, stream_.read<From>());
        return static_cast<To>(number);
    }

    const ByteSource& source_;
    GgufStream stream_;
    std::uint64_t tensor_count_ = 0;
    std::uint64_t pair_count_ = 0;
};

Result<void> Reader::read_preamble() {
    if (source_.size() < 4) return fail(Errc::malformed, "not a GGUF file: shorter than 4 bytes");
    KWAAI_TRY(const auto magic, stream_.read<std::uint32_t>());
    if (magic != kMagic) {
        return fail(Errc::malformed,
                    "not a GGUF file: it does not begin with \"GGUF\"; give a .gguf file or a "
                    "Hugging Face directory");
    }
    KWAAI_TRY(const auto version, stream_.read<std::uint32_t>());
    if ((version & 0xffff) == 0 && version != 0) {
        return fail(Errc::unsupported, "big-endian GGUF files are not read");
    }
    if (version != 2 && version != 3) {
        return fail(Errc::unsupported,
                    "GGUF version " + std::to_string(version) + "; versions 2 and 3 are read");
    }
    KWAAI_TRY(tensor_count_, stream_.read<std::uint64_t>());
    KWAAI_TRY(pair_count_, stream_.read<std::uint64_t>());
    if (pair_count_ > stream_.remaining() / kPairBytesMin) {
        return fail(Errc::malformed,
                    std::to_string(pair_count_) + " metadata pairs cannot fit in the " +
                        std::to_string(stream_.remaining()) + " bytes that are left");
    }
    if (tensor_count_ > stream_.remaining() / kTensorBytesMin) {
        return fail(Errc::malformed,
                    std::to_string(tensor_count_) + " tensors cannot be listed in the " +
                        std::to_string(stream_.remaining()) + " bytes that are left");
    }
    return {};
}

Result<void> Reader::read_pair(Metadata& metadata) {
    KWAAI_TRY(const std::string_view view, stream_.text("a metadata key", kKeyBytesMax));
    const std::string key(view);
    if (key.empty()) {
        return fail(Errc::malformed,
                    "an empty metadata key at offset " + std::to_string(stream_.position()));
    }
    KWAAI_TRY(const auto type, stream_.read<std::uint32_t>());
    Result<MetadataValue> value = read_value(static_cast<ValueType>(type));
    if (!value) return forward_error(value, "metadata key " + shown(key));
    if (!metadata.values.emplace(key, std::move(*value)).second) {
        return fail(Errc::malformed, "metadata key " + shown(key) + " stands twice");
    }
    return {};
}

Result<MetadataValue> Reader::read_value(ValueType type) {
    switch (type) {
        case ValueType::u8: return read_number<std::uint8_t, std::uint64_t>();
        case ValueType::i8: return read_number<std::int8_t, std::int64_t>();
        case ValueType::u16: return read_number<std::uint16_t, std::uint64_t>();
        case ValueType::i16: return read_number<std::int16_t, std::int64_t>();
        case ValueType::u32: return read_number<std::uint32_t, std::uint64_t>();
        case ValueType::i32: return read_number<std::int32_t, std::int64_t>();
        case ValueType::f32: return read_number<float, double>();
        case ValueType::u64: return read_number<std::uint64_t, std::uint64_t>();
        case ValueType::i64: return read_number<std::int64_t, std::int64_t>();
        case ValueType::f64: return read_number<double, double>();
        case ValueType::boolean: {
            KWAAI_TRY(const auto byte, stream_.read<std::uint8_t>());
            KWAAI_TRY(const bool truth, to_boolean(byte));
            return truth;
        }
        case ValueType::string: {
            KWAAI_TRY(const std::string_view text, stream_.text("a string", kStringBytesMax));
            return std::string(text);
        }
        case ValueType::array: return read_array();
    }
    return fail(Errc::malformed,
                "unknown value type " + std::to_string(static_cast<std::uint32_t>(type)));
}

Result<MetadataValue> Reader::read_array() {
    KWAAI_TRY(const auto type_number, stream_.read<std::uint32_t>());
    KWAAI_TRY(const auto count, stream_.read<std::uint64_t>());
    const auto type = static_cast<ValueType>(type_number);
    if (type == ValueType::array) return fail(Errc::unsupported, "arrays of arrays are not read");
    const std::uint64_t bytes_min = element_bytes_min(type);
    if (bytes_min == 0) {
        return fail(Errc::malformed, "unknown array type " + std::to_string(type_number));
    }
    if (count > kArraySizeMax || count > stream_.remaining() / bytes_min) {
        return fail(Errc::malformed,
                    "an array of " + std::to_string(count) + " elements; at most " +
                        std::to_string(kArraySizeMax) + " are allowed and " +
                        std::to_string(stream_.remaining()) + " bytes are left");
    }
    switch (type) {
        case ValueType::u8: return read_numbers<std::uint8_t, std::int64_t>(count);
        case ValueType::i8: return read_numbers<std::int8_t, std::int64_t>(count);
        case ValueType::u16: return read_numbers<std::uint16_t, std::int64_t>(count);
        case ValueType::i16: return read_numbers<std::int16_t, std::int64_t>(count);
        case ValueType::u32: return read_numbers<std::uint32_t, std::int64_t>(count);
        case ValueType::i32: return read_numbers<std::int32_t, std::int64_t>(count);
        case ValueType::u64: return read_numbers<std::uint64_t, std::int64_t>(count);
        case ValueType::i64: return read_numbers<std::int64_t, std::int64_t>(count);
        case ValueType::f32: return read_numbers<float, double>(count);
        case ValueType::f64: return read_numbers<double, double>(count);
        case ValueType::string: return read_strings(count);
        case ValueType::boolean:
        case ValueType::array: break;
    }
    KWAAI_TRY(MetadataValue booleans, (read_numbers<std::uint8_t, std::int64_t>(count)));
    for (const std::int64_t byte : std::get<std::vector<std::int64_t>>(booleans)) {
        KWAAI_CHECKED(to_boolean(static_cast<std::uint8_t>(byte)));
    }
    return booleans;
}

Result<std::vector<std::string>> Reader::read_strings(std::uint64_t count) {
    std::vector<std::string> strings;
    strings.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) {
        KWAAI_TRY(const std::string_view text,
                  stream_.text("a string of an array", kElementBytesMax));
        strings.emplace_back(text);
    }
    return strings;
}

Result<std::uint64_t> Reader::read_alignment(const Metadata& metadata) const {
    KWAAI_TRY(const auto found, metadata.unsigned_integer("general.alignment"));
    const std::uint64_t alignment = found.value_or(kAlignmentDefault);
    const bool is_power_of_two = (alignment & (alignment - 1)) == 0;
    if (alignment < kAlignmentMin || alignment > kAlignmentMax || !is_power_of_two) {
        return fail(Errc::malformed,
                    "general.alignment is " + std::to_string(alignment) +
                        "; a power of two from 8 to 1048576 is allowed");
    }
    return alignment;
}

Result<TensorInfo> Reader::read_tensor() {
    TensorInfo tensor;
    KWAAI_TRY(const std::string_view name, stream_.text("a tensor name", kTensorNameBytesMax));
    tensor.name = name;
    if (tensor.name.empty()) {
        return fail(Errc::malformed,
                    "a tensor without a name at offset " + std::to_string(stream_.position()));
    }
    Result<void> shape = read_shape(tensor);
    if (!shape) return forward_error(shape, "tensor " + shown(tensor.name));
    return tensor;
}

// Rank, extents, type, offset; then the size in bytes that they imply.
Result<void> Reader::read_shape(TensorInfo& tensor) {
    KWAAI_TRY(const auto rank, stream_.read<std::uint32_t>());
    if (rank < 1 || rank > kDimensionsMax) {
        return fail(Errc::malformed, std::to_string(rank) + " dimensions; 1 to 4 are allowed");
    }
    for (std::uint32_t i = 0; i < rank; ++i) {
        KWAAI_TRY(const auto extent, stream_.read<std::uint64_t>());
        if (extent < 1 || extent > kExtentMax) {
            return fail(Errc::malformed,
                        "dimension " + std::to_string(i) + " is " + std::to_string(extent) +
                            "; 1 to 2^40 is allowed");
        }
        tensor.shape.insert(tensor.shape.begin(), extent);
    }
    KWAAI_TRY(const auto type, stream_.read<std::uint32_t>());
    KWAAI_TRY(tensor.offset, stream_.read<std::uint64_t>());
    const auto dtype = dtype_of_ggml(type);
    if (!dtype) {
        return fail(Errc::unsupported,
                    "its type " + ggml_type_name(type) + " is not read; this build reads " +
                        std::string(kReadableTypes));
    }
    tensor.dtype = *dtype;
    const std::uint64_t row = tensor.shape.back();
    if (row % tensor::block_values(*dtype) != 0) {
        return fail(Errc::malformed,
                    "rows of " + std::to_string(row) + " values are no whole blocks of " +
                        std::string(tensor::to_string(*dtype)));
    }
    std::optional<std::uint64_t> bytes =
        checked_mul<std::uint64_t>(row / tensor::block_values(*dtype), tensor::block_bytes(*dtype));
    for (std::size_t i = 0; bytes && i + 1 < tensor.shape.size(); ++i) {
        bytes = checked_mul(*bytes, tensor.shape[i]);
    }
    if (!bytes) {
        return fail(Errc::malformed, "the size of " + shown_shape(tensor.shape) + " overflows");
    }
    tensor.size_bytes = *bytes;
    return {};
}

// Makes offsets absolute and checks that every tensor lies in the file and on no other.
Result<void> Reader::place_tensors(std::vector<TensorInfo>& tensors,
                                   std::uint64_t alignment) const {
    if (tensors.empty()) return {};
    const std::uint64_t base = round_up(stream_.position(), alignment);
    const std::uint64_t data = source_.size() > base ? source_.size() - base : 0;
    std::vector<const TensorInfo*> by_offset;
    by_offset.reserve(tensors.size());
    for (TensorInfo& tensor : tensors) {
        if (tensor.offset % alignment != 0) {
            return fail(Errc::malformed,
                        "tensor " + shown(tensor.name) + " lies at " +
                            std::to_string(tensor.offset) + ", not a multiple of " +
                            std::to_string(alignment));
        }
        if (tensor.offset > data || tensor.size_bytes > data - tensor.offset) {
            return fail(Errc::malformed,
                        "tensor " + shown(tensor.name) + " passes the end of the file: " +
                            std::to_string(tensor.size_bytes) + " bytes at " +
                            std::to_string(tensor.offset) + " of " + std::to_string(data) +
                            " bytes of data; the file may be an incomplete download");
        }
        tensor.offset += base;
        by_offset.push_back(&tensor);
    }
    std::ranges::sort(by_offset, {}, &TensorInfo::offset);
    for (std::size_t i = 1; i < by_offset.size(); ++i) {
        const TensorInfo& before = *by_offset[i - 1];
        if (by_offset[i]->offset - before.offset < before.size_bytes) {
            return fail(
                Errc::malformed,
                "tensors " + shown(before.name) + " and " + shown(by_offset[i]->name) + " overlap");
        }
    }
    return {};
}

}  // namespace

Result<ModelFile> read_gguf(std::unique_ptr<ByteSource> source) {
    ModelFile model;
    model.container = Container::gguf;
    model.name = source->name();
    Result<void> done = Reader(*source).read(model);
    if (!done) return forward_error(done, source->name());
    model.sources.push_back(std::move(source));
    return model;
}

}  // namespace kwaai::inference
