// The header of a safetensors file: docs/formats/safetensors.md.
#include <algorithm>

#include "base/checked.hpp"
#include "inference/hf_names.hpp"
#include "inference/model_readers.hpp"
#include "json/document.hpp"

namespace kwaai::inference {
namespace {

constexpr std::uint64_t kHeaderBytesMax = 100'000'000;  // the reference implementation's limit
constexpr std::uint64_t kPrefixBytes = 8;               // the header's length
constexpr std::size_t kDepthMax = 4;

/// A tensor as the header describes it.
struct Entry {
    std::string_view name;
    std::string_view dtype;
    std::vector<std::uint64_t> shape;
    std::uint64_t begin;
    std::uint64_t end;
};

std::optional<tensor::Dtype> dtype_of(std::string_view name) {
    if (name == "F32") return tensor::Dtype::f32;
    if (name == "F16") return tensor::Dtype::f16;
    if (name == "BF16") return tensor::Dtype::bf16;
    return std::nullopt;
}

Result<std::string> read_header_text(const ByteSource& source) {
    if (source.size() < kPrefixBytes) {
        return fail(Errc::malformed, "not a safetensors file: shorter than 8 bytes");
    }
    std::uint64_t length = 0;
    KWAAI_CHECKED(source.read(0, std::as_writable_bytes(std::span(&length, 1))));
    if (length > kHeaderBytesMax) {
        return fail(Errc::malformed,
                    "not a safetensors file: a header of " + std::to_string(length) +
                        " bytes; at most " + std::to_string(kHeaderBytesMax) + " are allowed");
    }
    if (length > source.size() - kPrefixBytes) {
        return fail(Errc::malformed,
                    "truncated: the header has " + std::to_string(length) + " bytes, the file " +
                        std::to_string(source.size() - kPrefixBytes) + " after its length");
    }
    std::string text(static_cast<std::size_t>(length), '\0');
    KWAAI_CHECKED(source.read(kPrefixBytes, std::as_writable_bytes(std::span(text))));
    if (!text.starts_with('{')) {
        return fail(Errc::malformed, "not a safetensors file: its header is no JSON object");
    }
    return text;
}

Result<Entry> read_entry(const json::Member& member) {
    Entry entry{.name = member.key, .dtype = {}, .shape = {}, .begin = 0, .end = 0};
    KWAAI_TRY(const json::Value dtype, member.value.at("dtype"));
    KWAAI_TRY(entry.dtype, dtype.string());
    KWAAI_TRY(const json::Value shape, member.value.at("shape"));
    KWAAI_TRY(const json::Array extents, shape.array());
    if (extents.size() > kDimensionsMax) {
        return fail(Errc::unsupported,
                    "tensor " + shown(entry.name) + " has " + std::to_string(extents.size()) +
                        " dimensions; up to 4 are read");
    }
    for (const json::Value value : extents) {
        KWAAI_TRY(const std::uint64_t extent, value.unsigned_integer());
        if (extent < 1 || extent > kExtentMax) {
            return fail(Errc::unsupported,
                        "tensor " + shown(entry.name) + " has an extent of " +
                            std::to_string(extent) + "; 1 to 2^40 is read");
        }
        entry.shape.push_back(extent);
    }
    KWAAI_TRY(const json::Value offsets, member.value.at("data_offsets"));
    KWAAI_TRY(const json::Array both, offsets.array());
    if (both.size() != 2) return offsets.error("expected two numbers");
    auto at = both.begin();
    KWAAI_TRY(entry.begin, (*at).unsigned_integer());
    ++at;
    KWAAI_TRY(entry.end, (*at).unsigned_integer());
    if (entry.end < entry.begin) return offsets.error("the end lies before the beginning");
    return entry;
}

// The format allows no holes: the data is the tensors one after the other, to the end of the file.
Result<void> check_contiguous(const std::vector<Entry>& by_offset, std::uint64_t data_bytes) {
    std::uint64_t end = 0;
    for (const Entry& entry : by_offset) {
        if (entry.begin != end) {
            return fail(Errc::malformed,
                        "tensor " + shown(entry.name) + " begins at " +
                            std::to_string(entry.begin) + ", the one before it ends at " +
                            std::to_string(end));
        }
        end = entry.end;
    }
    if (end != data_bytes) {
        return fail(Errc::malformed,
                    "the tensors take " + std::to_string(end) + " bytes, the file holds " +
                        std::to_string(data_bytes) +
                        " after its header; it may be an incomplete download");
    }
    return {};
}

Result<TensorInfo> to_tensor(const Entry& entry, std::string name, std::uint64_t base) {
    const auto dtype = dtype_of(entry.dtype);
    if (!dtype) {
        return fail(Errc::unsupported,
                    "tensor " + shown(entry.name) + " has the type " + shown(entry.dtype) +
                        "; F32, F16 and BF16 are read from safetensors");
    }
    std::optional<std::uint64_t> bytes = tensor::block_bytes(*dtype);
    for (std::size_t i = 0; bytes && i < entry.shape.size(); ++i) {
        bytes = checked_mul(*bytes, entry.shape[i]);
    }
    if (bytes != entry.end - entry.begin) {
        return fail(Errc::malformed,
                    "tensor " + shown(entry.name) + " " + shown_shape(entry.shape) + " of " +
                        std::string(tensor::to_string(*dtype)) + " does not take the " +
                        std::to_string(entry.end - entry.begin) + " bytes of its data_offsets");
    }
    return TensorInfo{.name = std::move(name),
                      .dtype = *dtype,
                      .shape = entry.shape,
                      .offset = base + entry.begin,
                      .size_bytes = *bytes,
                      .source = 0};
}

Result<void> read_file_metadata(const json::Value& value, Metadata& metadata) {
    KWAAI_TRY(const json::Object pairs, value.object());
    for (const json::Member member : pairs) {
        KWAAI_TRY(const std::string_view text, member.value.string());
        metadata.values.emplace("safetensors." + std::string(member.key), std::string(text));
    }
    return {};
}

Result<std::vector<TensorInfo>> read_header(const ByteSource& source, Metadata& metadata) {
    KWAAI_TRY(const std::string text, read_header_text(source));
    KWAAI_TRY(const json::Document document,
              json::parse(text, {.text_bytes_max = kHeaderBytesMax, .depth_max = kDepthMax}));
    KWAAI_TRY(const json::Object members, document.root().object());
    std::vector<Entry> entries;
    for (const json::Member member : members) {
        if (member.key == "__metadata__") {
            KWAAI_CHECKED(read_file_metadata(member.value, metadata));
            continue;
        }
        KWAAI_TRY(Entry entry, read_entry(member));
        entries.push_back(std::move(entry));
    }
    std::ranges::sort(entries, {}, &Entry::begin);
    const std::uint64_t base = kPrefixBytes + text.size();
    KWAAI_CHECKED(check_contiguous(entries, source.size() - base));
    std::vector<TensorInfo> tensors;
    for (const Entry& entry : entries) {
        std::optional<std::string> name = gguf_tensor_name(entry.name);
        if (!name) continue;
        KWAAI_TRY(TensorInfo tensor, to_tensor(entry, std::move(*name), base));
        tensors.push_back(std::move(tensor));
    }
    KWAAI_CHECKED(check_unique_names(tensors));
    return tensors;
}

}  // namespace

Result<std::vector<TensorInfo>> read_safetensors_header(const ByteSource& source,
                                                        Metadata& metadata) {
    Result<std::vector<TensorInfo>> tensors = read_header(source, metadata);
    if (!tensors) return forward_error(tensors, source.name());
    return tensors;
}

}  // namespace kwaai::inference
