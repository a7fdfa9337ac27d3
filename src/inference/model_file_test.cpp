// Whole models: split files joined, directories with shards, and real ones where fixtures are
// there.
#include "inference/model_file.hpp"

#include <cstring>
#include <map>

#include <doctest/doctest.h>

#include "inference/model_config.hpp"
#include "testing/fixtures.hpp"
#include "testing/gguf_builder.hpp"

namespace kwaai::inference {
namespace {

using testing::GgufBuilder;

/// Files by path.
struct FileMap {
    std::map<std::string, std::string> files;
};

/// Opens the files of a map, which must stay; a directory is whatever has files below it.
class MemoryFiles final : public FileOpener {
public:
    explicit MemoryFiles(const FileMap& map) : files_(map.files) {}

    Result<std::unique_ptr<ByteSource>> open(const std::string& path) override {
        const auto found = files_.find(path);
        if (found == files_.end()) return fail(Errc::not_found, path + ": no such file");
        return std::make_unique<MemorySource>(path, as_bytes(found->second));
    }

    [[nodiscard]] bool is_directory(const std::string& path) override {
        const std::string prefix = path.ends_with('/') ? path : path + "/";
        const auto first = files_.lower_bound(prefix);
        return first != files_.end() && first->first.starts_with(prefix);
    }

private:
    const std::map<std::string, std::string>& files_;
};

ModelFile opened(const std::string& path, const FileMap& files) {
    MemoryFiles opener(files);
    auto model = open_model(path, opener);
    REQUIRE_MESSAGE(model.has_value(), model.error().context);
    return std::move(*model);
}

void check_refused(const std::string& path,
                   const FileMap& files,
                   Errc code,
                   std::string_view words) {
    MemoryFiles opener(files);
    const auto model = open_model(path, opener);
    REQUIRE_FALSE(model.has_value());
    CHECK(to_string(model.error().code) == to_string(code));
    CHECK_MESSAGE(model.error().context.find(words) != std::string::npos, model.error().context);
}

std::string part(std::uint16_t number, std::uint16_t count, const char* tensor, char content) {
    return GgufBuilder()
        .pair("split.no", 2, testing::number_bytes(number))
        .pair("split.count", 2, testing::number_bytes(count))
        .pair("split.tensors.count", 5, testing::number_bytes(std::int32_t{count}))
        .text("general.name", number == 0 ? "first" : "later")
        .tensor(tensor, {2}, 0, std::string(8, content))
        .build();
}

FileMap three_parts() {
    FileMap files;
    files.files["dir/m-00001-of-00003.gguf"] = part(0, 3, "a", '1');
    files.files["dir/m-00002-of-00003.gguf"] = part(1, 3, "b", '2');
    files.files["dir/m-00003-of-00003.gguf"] = part(2, 3, "c", '3');
    return files;
}

std::string shard(std::string_view name, float value) {
    const std::string header =
        "{\"" + std::string(name) + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
    return testing::text_bytes(header) + testing::number_bytes(value);
}

constexpr std::string_view kConfig =
    R"({"architectures":["LlamaForCausalLM"],"num_hidden_layers":1,"hidden_size":8,)"
    R"("intermediate_size":12,"num_attention_heads":4,"max_position_embeddings":256,"vocab_size":5})";

FileMap sharded_directory() {
    FileMap files;
    files.files["m/config.json"] = kConfig;
    files.files["m/model.safetensors.index.json"] =
        R"({"weight_map":{"model.norm.weight":"b.safetensors","lm_head.weight":"a.safetensors"}})";
    files.files["m/a.safetensors"] = shard("lm_head.weight", 1);
    files.files["m/b.safetensors"] = shard("model.norm.weight", 2);
    return files;
}

float first_value(const ModelFile& model, std::string_view name) {
    const TensorInfo* tensor = model.find(name);
    REQUIRE(tensor != nullptr);
    float value = 0;
    REQUIRE(model.source_of(*tensor)
                .read(tensor->offset, std::as_writable_bytes(std::span(&value, 1)))
                .has_value());
    return value;
}

}  // namespace

TEST_CASE("a model is named after its file or directory") {
    FileMap files = sharded_directory();
    files.files["x/y/tiny.gguf"] = GgufBuilder().text("a", "b").build();
    CHECK(opened("x/y/tiny.gguf", files).name == "tiny");
    CHECK(opened("m", files).name == "m");
    CHECK(opened("m/", files).name == "m");
}

TEST_CASE("a split model is joined from any of its parts") {
    const FileMap files = three_parts();
    for (const auto& [path, bytes] : files.files) {
        const ModelFile model = opened(path, files);
        CHECK(model.sources.size() == 3);
        REQUIRE(model.tensors.size() == 3);
        CHECK(*model.metadata.text("general.name") == "first");
        for (const auto& [name, content] :
             {std::pair("a", '1'), std::pair("b", '2'), std::pair("c", '3')}) {
            float expected = 0;
            std::memset(&expected, content, sizeof(expected));
            CHECK(first_value(model, name) == expected);
        }
    }
}

TEST_CASE("a missing, mixed up or repeated part is named") {
    FileMap missing = three_parts();
    missing.files.erase("dir/m-00002-of-00003.gguf");
    check_refused("dir/m-00003-of-00003.gguf",
                  missing,
                  Errc::not_found,
                  "part 2 of 3 of the model: dir/m-00002-of-00003.gguf");
    FileMap mixed = three_parts();
    mixed.files["dir/m-00002-of-00003.gguf"] = part(2, 3, "c", '3');
    check_refused(
        "dir/m-00001-of-00003.gguf", mixed, Errc::malformed, "do not say that it is part 2 of 3");
    FileMap repeated = three_parts();
    repeated.files["dir/m-00002-of-00003.gguf"] = part(1, 3, "a", '2');
    check_refused(
        "dir/m-00001-of-00003.gguf", repeated, Errc::malformed, "two tensors are called \"a\"");
    FileMap renamed;
    renamed.files["model.gguf"] = part(0, 3, "a", '1');
    check_refused(
        "model.gguf", renamed, Errc::invalid_argument, "must be called NAME-00001-of-00003.gguf");
    FileMap fewer = three_parts();
    fewer.files["dir/m-00001-of-00003.gguf"] =
        GgufBuilder()
            .pair("split.no", 2, testing::number_bytes(std::uint16_t{0}))
            .pair("split.count", 2, testing::number_bytes(std::uint16_t{3}))
            .pair("split.tensors.count", 5, testing::number_bytes(std::int32_t{9}))
            .zeros("a", {2})
            .build();
    check_refused("dir/m-00001-of-00003.gguf",
                  fewer,
                  Errc::malformed,
                  "promises 9 tensors, the parts hold 3");
}

TEST_CASE("a directory of shards is opened by its index") {
    FileMap files = sharded_directory();
    files.files["m/tokenizer.json"] = "{}";
    files.files["m/chat_template.jinja"] = "{{ x }}";
    const ModelFile model = opened("m", files);
    CHECK(model.container == Container::safetensors);
    CHECK(model.sources.size() == 2);
    CHECK(first_value(model, "output.weight") == 1);
    CHECK(first_value(model, "output_norm.weight") == 2);
    CHECK(model.config_json == kConfig);
    CHECK(model.tokenizer_json == "{}");
    CHECK(model.tokenizer_config_json.empty());
    CHECK(*model.metadata.text("tokenizer.chat_template") == "{{ x }}");
}

TEST_CASE("an index must keep its promises and stay in its directory") {
    const auto with_map = [](std::string_view map) {
        FileMap files = sharded_directory();
        files.files["m/model.safetensors.index.json"] = "{\"weight_map\":" + std::string(map) + "}";
        return files;
    };
    check_refused("m",
                  with_map(R"({"model.norm.weight":"c.safetensors"})"),
                  Errc::not_found,
                  "m/c.safetensors");
    check_refused("m",
                  with_map(R"({"model.norm.weight":"a.safetensors"})"),
                  Errc::malformed,
                  "tensor \"output_norm.weight\", which the index promises here, is missing");
    for (const char* bad : {"../b.safetensors", "/etc/passwd", "a\\\\b", "", "..", "x\\u0000y"}) {
        check_refused("m",
                      with_map("{\"model.norm.weight\":\"" + std::string(bad) + "\"}"),
                      Errc::malformed,
                      "weight_map names the file");
    }
    check_refused("m", with_map("[]"), Errc::malformed, "weight_map: expected an object");
    FileMap doubled = sharded_directory();
    doubled.files["m/a.safetensors"] = shard("model.norm.weight", 1);
    doubled.files["m/model.safetensors.index.json"] =
        R"({"weight_map":{"model.norm.weight":"b.safetensors","norm.weight":"a.safetensors"}})";
    check_refused("m", doubled, Errc::malformed, "two tensors are called \"output_norm.weight\"");
}

TEST_CASE("paths that hold no model say what to give instead") {
    FileMap files;
    check_refused("none.gguf", files, Errc::not_found, "none.gguf");
    files.files["d/readme"] = "x";
    check_refused("d", files, Errc::not_found, "d/: no config.json; give");
    files.files["d/config.json"] = kConfig;
    check_refused("d", files, Errc::not_found, "neither model.safetensors nor");
    files.files["d/model.safetensors"] = shard("lm_head.weight", 1);
    check_refused("d/model.safetensors", files, Errc::invalid_argument, "give the directory");
    files.files["d/config.json"] = "{";
    check_refused("d", files, Errc::malformed, "d/config.json: not JSON");
}

TEST_CASE("a head that config.json calls untied must be there") {
    FileMap files;
    const auto zeros =
        [](std::string_view name, std::string_view shape, std::size_t begin, std::size_t end) {
            return "\"" + std::string(name) + R"(":{"dtype":"F32","shape":)" + std::string(shape) +
                   ",\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
        };
    const std::string header = "{" + zeros("model.embed_tokens.weight", "[5,8]", 0, 160) + "," +
                               zeros("model.norm.weight", "[8]", 160, 192) + "}";
    files.files["m/config.json"] = kConfig;
    files.files["m/model.safetensors"] = testing::text_bytes(header) + std::string(192, '\0');
    const ModelFile model = opened("m", files);
    const auto config = read_config(model);
    REQUIRE_FALSE(config.has_value());
    CHECK(config.error().context.find("lm_head.weight is missing") != std::string::npos);
}

TEST_CASE("the model directory of the Petals recordings is read") {
    FileMap files;
    for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
        KWAAI_FIXTURE(path, std::string("petals/model/") + name);
        files.files[std::string("petals/") + name] = testing::read_text(path);
    }
    const ModelFile model = opened("petals", files);
    CHECK(model.tensors.size() == 39);
    CHECK_FALSE(model.tokenizer_json.empty());
    const auto config = read_config(model);
    REQUIRE_MESSAGE(config.has_value(), config.error().context);
    CHECK(config->architecture == "llama");
    CHECK(config->name == "petals");
    CHECK(config->block_count == 4);
    CHECK(config->hidden == 64);
    CHECK(config->head_count == 4);
    CHECK(config->kv_head_count == 2);
    CHECK(config->head_dim == 16);
    CHECK(config->ffn == 160);
    CHECK(config->vocabulary == 512);
    CHECK(config->context == 256);
    CHECK(config->is_hf_row_order);
    CHECK(config->rope.layout == kernels::RopeLayout::neox);
    CHECK_FALSE(config->is_head_tied);
}

TEST_CASE("vocabulary files open quickly and hold their tokens, but are no model to run") {
    for (const char* name :
         {"gpt-2", "falcon", "llama-spm", "deepseek-llm", "phi-3", "starcoder"}) {
        const std::string relative =
            std::string("tokenizers/llama.cpp-vocab/ggml-vocab-") + name + ".gguf";
        KWAAI_FIXTURE(path, relative);
        FileMap files;
        files.files["v.gguf"] = testing::read_text(path);
        const ModelFile model = opened("v.gguf", files);
        CHECK(model.tensors.empty());
        REQUIRE(model.metadata.texts("tokenizer.ggml.tokens") != nullptr);
        CHECK(model.metadata.texts("tokenizer.ggml.tokens")->size() > 30000);
        CHECK_FALSE(read_config(model).has_value());
    }
}

}  // namespace kwaai::inference
