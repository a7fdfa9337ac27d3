// A Hugging Face directory: config.json, the weights in one safetensors file or in shards with an
// index, and the tokenizer's files, which are handed on as text.
#include <map>
#include <set>

#include "inference/hf_config.hpp"
#include "inference/hf_names.hpp"
#include "inference/model_readers.hpp"
#include "json/document.hpp"

namespace kwaai::inference {
namespace {

constexpr std::size_t kTextBytesMax = std::size_t{64} << 20;  // of a JSON file beside the weights
constexpr std::size_t kShardsMax = 4096;

Result<std::string> read_all(const ByteSource& source) {
    if (source.size() > kTextBytesMax) {
        return fail(Errc::limit_exceeded,
                    source.name() + " has " + std::to_string(source.size()) + " bytes; at most " +
                        std::to_string(kTextBytesMax) + " are read");
    }
    std::string text(static_cast<std::size_t>(source.size()), '\0');
    KWAAI_CHECKED(source.read(0, std::as_writable_bytes(std::span(text))));
    return text;
}

/// The text of a file; nothing where there is none of this name.
Result<std::optional<std::string>> read_if_there(const std::string& path, FileOpener& files) {
    auto source = files.open(path);
    if (!source && source.error().code == Errc::not_found) return std::nullopt;
    if (!source) return forward_error(source);
    return read_all(**source);
}

/// The shard of each tensor as model.safetensors.index.json lists them, by shard.
using ShardMap = std::map<std::string, std::set<std::string>>;

// A name inside the directory, so that an index cannot point elsewhere.
bool is_plain_file_name(std::string_view name) {
    return !name.empty() && !name.starts_with('.') &&
           name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

Result<ShardMap> read_index(std::string_view text) {
    KWAAI_TRY(const json::Document document, json::parse(text, {.text_bytes_max = kTextBytesMax}));
    KWAAI_TRY(const json::Value weight_map, document.root().at("weight_map"));
    KWAAI_TRY(const json::Object entries, weight_map.object());
    ShardMap shards;
    for (const json::Member entry : entries) {
        KWAAI_TRY(const std::string_view shard, entry.value.string());
        if (!is_plain_file_name(shard)) {
            return fail(Errc::malformed, "weight_map names the file " + shown(shard));
        }
        std::set<std::string>& tensors = shards[std::string(shard)];
        if (std::optional<std::string> name = gguf_tensor_name(entry.key)) {
            tensors.insert(std::move(*name));
        }
    }
    if (shards.size() > kShardsMax) {
        return fail(Errc::limit_exceeded,
                    std::to_string(shards.size()) + " shards; at most " +
                        std::to_string(kShardsMax) + " are read");
    }
    return shards;
}

/// Opens one safetensors file and adds its tensors to the model.
Result<void> add_shard(ModelFile& model,
                       std::unique_ptr<ByteSource> source,
                       const std::set<std::string>& promised) {
    KWAAI_TRY(std::vector<TensorInfo> tensors, read_safetensors_header(*source, model.metadata));
    std::set<std::string_view> names;
    for (const TensorInfo& tensor : tensors) {
        names.insert(tensor.name);
    }
    for (const std::string& name : promised) {
        if (!names.contains(name)) {
            return fail(Errc::malformed,
                        source->name() + ": tensor " + shown(name) +
                            ", which the index promises here, is missing");
        }
    }
    for (TensorInfo& tensor : tensors) {
        tensor.source = static_cast<std::uint32_t>(model.sources.size());
        model.tensors.push_back(std::move(tensor));
    }
    model.sources.push_back(std::move(source));
    return {};
}

Result<void> open_weights(ModelFile& model, const std::string& directory, FileOpener& files) {
    const std::string index_path = directory + "model.safetensors.index.json";
    KWAAI_TRY(const std::optional<std::string> index, read_if_there(index_path, files));
    if (!index) {
        auto source = files.open(directory + "model.safetensors");
        if (!source && source.error().code == Errc::not_found) {
            return fail(Errc::not_found,
                        directory +
                            ": neither model.safetensors nor model.safetensors.index.json "
                            "is there; PyTorch .bin files are not read");
        }
        if (!source) return forward_error(source);
        return add_shard(model, std::move(*source), {});
    }
    Result<ShardMap> shards = read_index(*index);
    if (!shards) return forward_error(shards, index_path);
    for (const auto& [name, tensors] : *shards) {
        auto source = files.open(directory + name);
        if (!source) return forward_error(source, "a shard of " + index_path);
        KWAAI_CHECKED(add_shard(model, std::move(*source), tensors));
    }
    return check_unique_names(model.tensors);
}

}  // namespace

Result<ModelFile> open_hf_directory(const std::string& path, FileOpener& files) {
    const std::string directory = path.ends_with('/') ? path : path + "/";
    ModelFile model;
    model.container = Container::safetensors;
    KWAAI_TRY(std::optional<std::string> config, read_if_there(directory + "config.json", files));
    if (!config) {
        return fail(Errc::not_found,
                    directory +
                        ": no config.json; give a Hugging Face directory or the path of a "
                        ".gguf file");
    }
    model.config_json = std::move(*config);
    Result<void> translated = read_hf_config(model.config_json, model.metadata);
    if (!translated) return forward_error(translated, directory + "config.json");
    KWAAI_CHECKED(open_weights(model, directory, files));

    KWAAI_TRY(auto tokenizer, read_if_there(directory + "tokenizer.json", files));
    model.tokenizer_json = std::move(tokenizer).value_or("");
    KWAAI_TRY(auto settings, read_if_there(directory + "tokenizer_config.json", files));
    model.tokenizer_config_json = std::move(settings).value_or("");
    // Newer directories keep the chat template in a file of its own.
    KWAAI_TRY(auto chat_template, read_if_there(directory + "chat_template.jinja", files));
    if (chat_template) {
        model.metadata.values.insert_or_assign("tokenizer.chat_template",
                                               std::move(*chat_template));
    }
    return model;
}

}  // namespace kwaai::inference
