// Split GGUF files, as gguf-split writes them: name-00001-of-00003.gguf and so on; the metadata of
// the model is in the first part, split.no, split.count and split.tensors.count in all.
#include <string>

#include "inference/model_readers.hpp"

namespace kwaai::inference {
namespace {

constexpr std::size_t kDigits = 5;
constexpr std::string_view kOf = "-of-";
constexpr std::string_view kExtension = ".gguf";
constexpr std::uint64_t kPartsMax = 4096;

std::string five_digits(std::uint64_t number) {
    std::string digits = std::to_string(number);
    if (digits.size() < kDigits) digits.insert(0, kDigits - digits.size(), '0');
    return digits;
}

bool are_digits(std::string_view text) {
    return text.find_first_not_of("0123456789") == std::string_view::npos;
}

// What stands before "00001-of-00003.gguf" in a path to one of `count` parts; empty for other
// names.
std::string_view prefix_of(std::string_view path, std::uint64_t count) {
    const std::string tail = std::string(kOf) + five_digits(count) + std::string(kExtension);
    if (!path.ends_with(tail)) return {};
    path.remove_suffix(tail.size());
    if (path.size() <= kDigits || !are_digits(path.substr(path.size() - kDigits))) return {};
    path.remove_suffix(kDigits);
    return path.ends_with('-') ? path : std::string_view{};
}

std::string part_path(std::string_view prefix, std::uint64_t number, std::uint64_t count) {
    return std::string(prefix) + five_digits(number) + std::string(kOf) + five_digits(count) +
           std::string(kExtension);
}

Result<ModelFile> open_part(const std::string& path,
                            std::uint64_t number,
                            std::uint64_t count,
                            FileOpener& files) {
    auto source = files.open(path);
    if (!source) {
        return forward_error(
            source,
            "part " + std::to_string(number) + " of " + std::to_string(count) + " of the model");
    }
    KWAAI_TRY(ModelFile part, read_gguf(std::move(*source)));
    KWAAI_TRY(const auto own_count, part.metadata.unsigned_integer("split.count"));
    KWAAI_TRY(const auto own_number, part.metadata.unsigned_integer("split.no"));
    if (own_count != count || own_number != number - 1) {
        return fail(Errc::malformed,
                    path + ": its split.no and split.count do not say that it is part " +
                        std::to_string(number) + " of " + std::to_string(count));
    }
    return part;
}

Result<ModelFile> join_parts(std::string_view prefix, std::uint64_t count, FileOpener& files) {
    KWAAI_TRY(ModelFile model, open_part(part_path(prefix, 1, count), 1, count, files));
    for (std::uint64_t number = 2; number <= count; ++number) {
        const std::string path = part_path(prefix, number, count);
        KWAAI_TRY(ModelFile part, open_part(path, number, count, files));
        for (TensorInfo& tensor : part.tensors) {
            tensor.source = static_cast<std::uint32_t>(model.sources.size());
            model.tensors.push_back(std::move(tensor));
        }
        model.sources.push_back(std::move(part.sources.front()));
    }
    KWAAI_CHECKED(check_unique_names(model.tensors));
    KWAAI_TRY(const auto expected, model.metadata.unsigned_integer("split.tensors.count"));
    if (expected && *expected != model.tensors.size()) {
        return fail(Errc::malformed,
                    "split.tensors.count promises " + std::to_string(*expected) +
                        " tensors, the parts hold " + std::to_string(model.tensors.size()));
    }
    return model;
}

}  // namespace

Result<ModelFile> open_gguf(const std::string& path, FileOpener& files) {
    KWAAI_TRY(auto source, files.open(path));
    KWAAI_TRY(ModelFile model, read_gguf(std::move(source)));
    KWAAI_TRY(const auto count, model.metadata.unsigned_integer("split.count"));
    if (!count || *count <= 1) return model;
    if (*count > kPartsMax) {
        return fail(Errc::limit_exceeded,
                    path + ": split in " + std::to_string(*count) + " parts; at most " +
                        std::to_string(kPartsMax) + " are joined");
    }
    const std::string_view prefix = prefix_of(path, *count);
    if (prefix.empty()) {
        return fail(Errc::invalid_argument,
                    path + ": one of " + std::to_string(*count) +
                        " parts of a model, which must be called NAME" + part_path("-", 1, *count) +
                        " and so on");
    }
    return join_parts(prefix, *count, files);
}

}  // namespace kwaai::inference
