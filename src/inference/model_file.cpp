#include "inference/model_file.hpp"

#include <algorithm>

#include "inference/model_readers.hpp"
#include "json/writer.hpp"

namespace kwaai::inference {
namespace {

constexpr std::size_t kShownBytes = 80;  // of a name in a message

// The last component of a path without `extension`.
std::string stem(std::string_view path, std::string_view extension) {
    while (path.size() > 1 && path.ends_with('/')) {
        path.remove_suffix(1);
    }
    if (const auto slash = path.rfind('/'); slash != std::string_view::npos && path.size() > 1) {
        path.remove_prefix(slash + 1);
    }
    if (path.ends_with(extension)) path.remove_suffix(extension.size());
    return std::string(path);
}

template <class T>
const T* value_of(const Metadata& metadata, std::string_view key) {
    const MetadataValue* value = metadata.find(key);
    return value == nullptr ? nullptr : std::get_if<T>(value);
}

std::unexpected<Error> wrong_type(std::string_view key, std::string_view expected) {
    return fail(Errc::malformed,
                "metadata key " + shown(key) + " does not hold " + std::string(expected));
}

}  // namespace

std::string shown(std::string_view name) {
    if (name.size() <= kShownBytes) return json::quote(name);
    return json::quote(name.substr(0, kShownBytes)) + "...";
}

std::string shown_shape(const std::vector<std::uint64_t>& shape) {
    std::string text = "[";
    for (const std::uint64_t extent : shape) {
        if (text.size() > 1) text += ", ";
        text += std::to_string(extent);
    }
    return text + "]";
}

Result<void> check_unique_names(const std::vector<TensorInfo>& tensors) {
    std::vector<std::string_view> names;
    names.reserve(tensors.size());
    for (const TensorInfo& tensor : tensors) {
        names.push_back(tensor.name);
    }
    std::ranges::sort(names);
    const auto twice = std::ranges::adjacent_find(names);
    if (twice == names.end()) return {};
    return fail(Errc::malformed, "two tensors are called " + shown(*twice));
}

const MetadataValue* Metadata::find(std::string_view key) const {
    const auto found = values.find(key);
    return found == values.end() ? nullptr : &found->second;
}

Result<std::optional<std::uint64_t>> Metadata::unsigned_integer(std::string_view key) const {
    const MetadataValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (const auto* natural = std::get_if<std::uint64_t>(value)) return *natural;
    if (const auto* integer = std::get_if<std::int64_t>(value);
        integer != nullptr && *integer >= 0) {
        return static_cast<std::uint64_t>(*integer);
    }
    return wrong_type(key, "an integer of at least 0");
}

Result<std::optional<double>> Metadata::number(std::string_view key) const {
    const MetadataValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (const auto* real = std::get_if<double>(value)) return *real;
    if (const auto* natural = std::get_if<std::uint64_t>(value)) {
        return static_cast<double>(*natural);
    }
    if (const auto* integer = std::get_if<std::int64_t>(value)) {
        return static_cast<double>(*integer);
    }
    return wrong_type(key, "a number");
}

Result<std::optional<bool>> Metadata::boolean(std::string_view key) const {
    const MetadataValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (const auto* truth = std::get_if<bool>(value)) return *truth;
    return wrong_type(key, "true or false");
}

const std::string* Metadata::text(std::string_view key) const {
    return value_of<std::string>(*this, key);
}

const std::vector<std::string>* Metadata::texts(std::string_view key) const {
    return value_of<std::vector<std::string>>(*this, key);
}

const std::vector<double>* Metadata::numbers(std::string_view key) const {
    return value_of<std::vector<double>>(*this, key);
}

const std::vector<std::int64_t>* Metadata::integers(std::string_view key) const {
    return value_of<std::vector<std::int64_t>>(*this, key);
}

const TensorInfo* ModelFile::find(std::string_view tensor) const {
    const auto found = std::ranges::find(tensors, tensor, &TensorInfo::name);
    return found == tensors.end() ? nullptr : &*found;
}

Result<ModelFile> open_model(const std::string& path, FileOpener& files) {
    if (files.is_directory(path)) {
        KWAAI_TRY(ModelFile file, open_hf_directory(path, files));
        file.name = stem(path, "");
        return file;
    }
    if (path.ends_with(".safetensors")) {
        return fail(Errc::invalid_argument,
                    path + ": give the directory that holds this file and its config.json");
    }
    KWAAI_TRY(ModelFile file, open_gguf(path, files));
    file.name = stem(path, ".gguf");
    return file;
}

}  // namespace kwaai::inference
