#include "engine/model_digest.hpp"

#include <filesystem>
#include <fstream>
#include <vector>

#include <doctest/doctest.h>

#include "testing/fixtures.hpp"

namespace kwaai::engine {
namespace {

// A directory that is removed at the end of the test.
class TemporaryDirectory {
public:
    explicit TemporaryDirectory(const std::string& name)
        : path_(std::filesystem::temp_directory_path() / ("kwaai_digest_test_" + name)) {
        std::filesystem::remove_all(path_);
        std::filesystem::create_directory(path_);
    }

    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

    ~TemporaryDirectory() { std::filesystem::remove_all(path_); }

    [[nodiscard]] std::string path() const { return path_.string(); }

    void write(const std::string& name, std::string_view text) const {
        std::ofstream(path_ / name, std::ios::binary) << text;
    }

private:
    std::filesystem::path path_;
};

std::string all_bytes(const std::string& path) {
    std::string bytes;
    const auto visited = visit_model_bytes(path, [&](Bytes piece) {
        CHECK(piece.size() <= (std::size_t{1} << 20));
        bytes += as_text(piece);
        return true;
    });
    REQUIRE_MESSAGE(visited.has_value(), (visited ? std::string() : visited.error().context));
    return bytes;
}

std::string framed(const std::string& bytes) {
    std::string size(8, '\0');
    for (std::size_t i = 0; i < 8; ++i)
        size[i] = static_cast<char>(bytes.size() >> (8 * i) & 0xff);
    return size + bytes;
}

// A safetensors file of one vector.
std::string shard(const std::string& tensor) {
    const std::string header =
        R"({")" + tensor + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
    return framed(header).substr(0, 8) + header + "abcd";
}

constexpr const char* kConfig =
    R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":64,)"
    R"("intermediate_size":128,"num_attention_heads":4,"num_hidden_layers":1,"vocab_size":32,)"
    R"("max_position_embeddings":64,"rms_norm_eps":1e-5})";

TEST_CASE("the bytes of a GGUF model are those of its file") {
    KWAAI_FIXTURE(path, testing::kStories);
    CHECK(all_bytes(path) == as_text(testing::read_file(path)));
}

TEST_CASE("the bytes of a directory are its config and its weights by name, each with its size") {
    const TemporaryDirectory directory("shards");
    directory.write("config.json", kConfig);
    directory.write("b.safetensors", shard("model.norm.weight"));
    directory.write("a.safetensors", shard("lm_head.weight"));
    directory.write("c.safetensors", shard("unused.weight"));
    directory.write("tokenizer_config.json", "{}");
    directory.write("model.safetensors.index.json",
                    R"({"weight_map":{"model.norm.weight":"b.safetensors",)"
                    R"("lm_head.weight":"a.safetensors"}})");
    const std::string expected =
        framed(kConfig) + framed(shard("lm_head.weight")) + framed(shard("model.norm.weight"));
    CHECK(all_bytes(directory.path()) == expected);
    CHECK(all_bytes(directory.path() + "/") == expected);
}

TEST_CASE("a sink that has seen enough ends the visit") {
    KWAAI_FIXTURE(path, testing::kStories);
    int pieces = 0;
    const auto visited = visit_model_bytes(path, [&](Bytes) { return ++pieces < 1; });
    REQUIRE(!visited);
    CHECK(visited.error().code == Errc::cancelled);
    CHECK(pieces == 1);
}

TEST_CASE("a model that cannot be opened has neither bytes nor a stamp") {
    const auto ignore = [](Bytes) {
        return true;
    };
    CHECK(visit_model_bytes("/nonexistent.gguf", ignore).error().code == Errc::not_found);
    CHECK(model_file_stamp("/nonexistent.gguf").error().code == Errc::not_found);
}

TEST_CASE("the stamp of a model changes with the time and the size of its files alone") {
    KWAAI_FIXTURE(stories, testing::kStories);
    const TemporaryDirectory directory("stamp");
    const std::string path = directory.path() + "/model.gguf";
    std::filesystem::copy_file(stories, path);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    const auto first = model_file_stamp(path);
    REQUIRE(first);
    CHECK(first->starts_with(path + " 1185376 "));
    CHECK(*model_file_stamp(path) == *first);
    const auto time = std::filesystem::last_write_time(path);
    std::filesystem::last_write_time(path, time + std::chrono::nanoseconds(1000));
    CHECK(*model_file_stamp(path) != *first);
    std::filesystem::last_write_time(path, time);
    CHECK(*model_file_stamp(path) == *first);
    std::filesystem::resize_file(path, 1185376 + 64);
    std::filesystem::last_write_time(path, time);
    CHECK(*model_file_stamp(path) != *first);
}

}  // namespace
}  // namespace kwaai::engine
