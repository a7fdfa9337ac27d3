#include <doctest/doctest.h>

#include "inference/hf_names.hpp"
#include "inference/model_file.hpp"
#include "testing/fixtures.hpp"
#include "testing/gguf_builder.hpp"

namespace kwaai::inference {
namespace {

// A file: the header's length, the header, and so many zero bytes of data.
std::string file_of(std::string_view header, std::size_t data_bytes) {
    return testing::text_bytes(header) + std::string(data_bytes, '\0');
}

struct Header {
    std::vector<TensorInfo> tensors;
    Metadata metadata;
};

Result<Header> read(std::string_view file) {
    Header header;
    const MemorySource source("test.safetensors", as_bytes(file));
    KWAAI_TRY(header.tensors, read_safetensors_header(source, header.metadata));
    return header;
}

Header accepted(std::string_view file) {
    auto header = read(file);
    REQUIRE_MESSAGE(header.has_value(), header.error().context);
    return std::move(*header);
}

void check_refused(std::string_view file, Errc code, std::string_view words) {
    const auto header = read(file);
    REQUIRE_FALSE(header.has_value());
    CHECK(to_string(header.error().code) == to_string(code));
    CHECK_MESSAGE(header.error().context.find(words) != std::string::npos, header.error().context);
    CHECK(header.error().context.starts_with("test.safetensors: "));
}

void check_malformed(std::string_view header, std::size_t data_bytes, std::string_view words) {
    check_refused(file_of(header, data_bytes), Errc::malformed, words);
}

}  // namespace

TEST_CASE("tensors come in file order with GGUF's names, places and shapes") {
    const std::string text =
        R"({"__metadata__":{"format":"pt"},)"
        R"("model.layers.0.self_attn.q_proj.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[16,28]},)"
        R"("model.norm.weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},)"
        R"("scalar":{"dtype":"F16","shape":[],"data_offsets":[28,30]}}   )";
    const Header header = accepted(file_of(text, 30));
    REQUIRE(header.tensors.size() == 3);
    CHECK(header.tensors[0].name == "output_norm.weight");
    CHECK(header.tensors[0].dtype == tensor::Dtype::f32);
    CHECK(header.tensors[0].offset == 8 + text.size());
    CHECK(header.tensors[1].name == "blk.0.attn_q.weight");
    CHECK(header.tensors[1].dtype == tensor::Dtype::bf16);
    CHECK(header.tensors[1].shape == std::vector<std::uint64_t>{2, 3});
    CHECK(header.tensors[1].offset == 8 + text.size() + 16);
    CHECK(header.tensors[1].size_bytes == 12);
    CHECK(header.tensors[2].dtype == tensor::Dtype::f16);
    CHECK(*header.metadata.text("safetensors.format") == "pt");
}

TEST_CASE("buffers that follow from the configuration are passed over but must lie right") {
    const std::string_view text =
        R"({"model.layers.0.self_attn.rotary_emb.inv_freq":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
        R"("model.norm.weight":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})";
    CHECK(accepted(file_of(text, 12)).tensors.size() == 1);
}

TEST_CASE("a header that is none is refused") {
    check_refused("1234567", Errc::malformed, "shorter than 8 bytes");
    check_refused(testing::number_bytes<std::uint64_t>(3) + "{}",
                  Errc::malformed,
                  "truncated: the header has 3 bytes");
    check_refused(testing::number_bytes<std::uint64_t>(100'000'001),
                  Errc::malformed,
                  "a header of 100000001 bytes");
    check_refused(testing::number_bytes<std::uint64_t>(UINT64_MAX),
                  Errc::malformed,
                  "a header of 18446744073709551615 bytes");
    check_malformed(" {}", 0, "its header is no JSON object");
    check_malformed("[]", 0, "its header is no JSON object");
    check_malformed("{", 0, "not JSON at byte");
    check_malformed("{\"a\":1}", 0, "a: expected an object, found a number");
    check_malformed(R"({"__metadata__":{"x":1}})", 0, "__metadata__.x: expected a string");
}

TEST_CASE("an entry must have a type, a shape and two offsets") {
    check_malformed(
        R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "a: the member \"dtype\" is missing");
    check_malformed(
        R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, "a: the member \"shape\" is missing");
    check_malformed(
        R"({"a":{"dtype":"F32","shape":[1]}})", 4, "a: the member \"data_offsets\" is missing");
    check_malformed(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})",
                    4,
                    "a.shape[0]: expected an integer of at least 0");
    check_malformed(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})",
                    4,
                    "a.data_offsets: expected two numbers");
    check_malformed(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})",
                    4,
                    "the end lies before the beginning");
    check_malformed(
        R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
        8,
        "stands twice");
}

TEST_CASE("data must be without holes, overlaps or surplus") {
    const auto two = [](int b0, int e0, int b1, int e1) {
        const auto entry = [](int begin, int end) {
            return R"({"dtype":"F32","shape":[1],"data_offsets":[)" + std::to_string(begin) + "," +
                   std::to_string(end) + "]}";
        };
        return "{\"a\":" + entry(b0, e0) + ",\"b\":" + entry(b1, e1) + "}";
    };
    CHECK(accepted(file_of(two(4, 8, 0, 4), 8)).tensors.front().name == "b");
    check_malformed(two(0, 4, 5, 9), 9, "tensor \"b\" begins at 5, the one before it ends at 4");
    check_malformed(two(0, 4, 3, 7), 7, "begins at 3");
    check_malformed(two(1, 5, 5, 9), 9, "begins at 1, the one before it ends at 0");
    check_malformed(two(0, 4, 4, 8), 9, "take 8 bytes, the file holds 9");
    check_malformed(two(0, 4, 4, 8), 7, "incomplete download");
}

TEST_CASE("shapes and bytes must agree, whatever the product") {
    check_malformed(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})",
                    4,
                    "does not take the 4 bytes");
    check_malformed(
        R"({"a":{"dtype":"F32","shape":[1073741824,1073741824,4],"data_offsets":[0,4]}})",
        4,
        "does not take the 4 bytes");
    check_refused(file_of(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", 0),
                  Errc::unsupported,
                  "an extent of 0");
    check_refused(file_of(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4]}})", 4),
                  Errc::unsupported,
                  "5 dimensions");
    check_refused(file_of(R"({"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4),
                  Errc::unsupported,
                  "tensor \"a\" has the type \"F8_E4M3\"");
}

TEST_CASE("two names for one tensor are refused") {
    check_malformed(R"({"norm.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                    R"("model.norm.weight":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                    8,
                    "two tensors are called \"output_norm.weight\"");
}

TEST_CASE("Hugging Face names become GGUF names, with or without their prefix") {
    CHECK(gguf_tensor_name("model.embed_tokens.weight") == "token_embd.weight");
    CHECK(gguf_tensor_name("embed_tokens.weight") == "token_embd.weight");
    CHECK(gguf_tensor_name("lm_head.weight") == "output.weight");
    CHECK(gguf_tensor_name("model.layers.17.mlp.down_proj.weight") == "blk.17.ffn_down.weight");
    CHECK(gguf_tensor_name("layers.0.self_attn.k_proj.bias") == "blk.0.attn_k.bias");
    CHECK(gguf_tensor_name("model.layers.2.self_attn.q_norm.weight") == "blk.2.attn_q_norm.weight");
    CHECK(gguf_tensor_name("model.layers.2.post_attention_layernorm.weight") ==
          "blk.2.ffn_norm.weight");
    CHECK_FALSE(gguf_tensor_name("model.layers.2.self_attn.rotary_emb.inv_freq").has_value());
    for (const std::string_view same : {"",
                                        "x",
                                        "model.layers.01.mlp.up_proj.weight",
                                        "model.layers..weight",
                                        "model.layers.1.weight",
                                        "model.layers.1.mlp.up_proj.scale",
                                        "model.layers.x.mlp.up_proj.weight",
                                        "blk.0.attn_q.weight"}) {
        CHECK(gguf_tensor_name(same) == same);
    }
}

TEST_CASE("the planner's sample headers are read or refused as they should be") {
    const std::string root = "formats/tensorfs-planner-vectors/bin/safetensors-";
    KWAAI_FIXTURE(empty, root + "header-only.bin");
    KWAAI_FIXTURE(two, root + "two-tensors.bin");
    KWAAI_FIXTURE(gap, root + "gap.bin");
    KWAAI_FIXTURE(unknown, root + "unknown-dtype.bin");
    CHECK(accepted(testing::read_text(empty)).tensors.empty());
    check_refused(testing::read_text(two), Errc::unsupported, "has the type \"U8\"");
    check_refused(testing::read_text(gap), Errc::malformed, "begins at");
    check_refused(testing::read_text(unknown), Errc::unsupported, "has the type");
    KWAAI_FIXTURE(fp8, root + "fp8-te137-canonical-member-units.bin");
    const std::string head = testing::read_text(fp8);
    check_refused(head + std::string(589824, '\0'), Errc::unsupported, "has the type \"F8_E4M3\"");
    check_refused(head, Errc::malformed, "incomplete download");
}

}  // namespace kwaai::inference
