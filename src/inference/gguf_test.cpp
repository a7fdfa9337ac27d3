// Every check of docs/formats/gguf.md has a file here that breaks it and nothing else.
#include <algorithm>
#include <cstring>

#include <doctest/doctest.h>

#include "inference/gguf_stream.hpp"
#include "inference/model_file.hpp"
#include "testing/fixtures.hpp"
#include "testing/gguf_builder.hpp"

namespace kwaai::inference {
namespace {

using testing::GgufBuilder;
using testing::number_bytes;
using testing::text_bytes;

constexpr std::uint32_t kTypeF32 = 0;
constexpr std::uint32_t kTypeQ40 = 2;

Result<ModelFile> read(std::string_view file) {
    return read_gguf(std::make_unique<MemorySource>("test.gguf", as_bytes(file)));
}

ModelFile accepted(std::string_view file) {
    auto model = read(file);
    REQUIRE_MESSAGE(model.has_value(), model.error().context);
    return std::move(*model);
}

// Whether the file is refused with this code and a message that holds `words`.
void check_refused(std::string_view file, Errc code, std::string_view words) {
    const auto model = read(file);
    REQUIRE_FALSE(model.has_value());
    CHECK(to_string(model.error().code) == to_string(code));
    CHECK_MESSAGE(model.error().context.find(words) != std::string::npos, model.error().context);
    CHECK(model.error().context.starts_with("test.gguf: "));
}

void check_malformed(const GgufBuilder& builder, std::string_view words) {
    check_refused(builder.build(), Errc::malformed, words);
}

/// A source that cannot be looked at in place, as a file behind a network.
class FetchedSource final : public ByteSource {
public:
    explicit FetchedSource(std::string_view bytes) : memory_("fetched.gguf", as_bytes(bytes)) {}

    [[nodiscard]] std::string name() const override { return memory_.name(); }

    [[nodiscard]] std::uint64_t size() const override { return memory_.size(); }

    Result<void> read(std::uint64_t offset, MutableBytes out) const override {
        ++reads;
        return memory_.read(offset, out);
    }

    [[nodiscard]] Bytes view(std::uint64_t, std::size_t) const override { return {}; }

    mutable int reads = 0;

private:
    MemorySource memory_;
};

}  // namespace

TEST_CASE("a small file is read: metadata of every type, tensors with their place and shape") {
    GgufBuilder builder;
    builder.pair("t.u8", 0, number_bytes<std::uint8_t>(200))
        .pair("t.i8", 1, number_bytes<std::int8_t>(-5))
        .pair("t.u16", 2, number_bytes<std::uint16_t>(60000))
        .pair("t.i16", 3, number_bytes<std::int16_t>(-300))
        .u32("t.u32", 4000000000U)
        .pair("t.i32", 5, number_bytes<std::int32_t>(-70000))
        .f32("t.f32", 0.5F)
        .pair("t.bool", 7, number_bytes<std::uint8_t>(1))
        .text("t.text", "a\xff")
        .pair("t.u64", 10, number_bytes<std::uint64_t>(UINT64_MAX))
        .pair("t.i64", 11, number_bytes<std::int64_t>(INT64_MIN))
        .pair("t.f64", 12, number_bytes(1e300))
        .texts("t.texts", {"x", "", "zz"})
        .pair("t.bytes", 9, number_bytes(0U) + number_bytes<std::uint64_t>(2) + "\x01\xff")
        .pair("t.floats", 9, number_bytes(6U) + number_bytes<std::uint64_t>(1) + number_bytes(2.5F))
        .zeros("first", {3, 2})
        .tensor("second", {64, 2, 3}, kTypeQ40, std::string(std::size_t{18} * 2 * 6, 'q'));
    const std::string file = builder.build();
    const ModelFile model = accepted(file);
    const Metadata& metadata = model.metadata;
    CHECK(metadata.values.size() == 15);
    CHECK(metadata.unsigned_integer("t.u8")->value() == 200);
    CHECK(metadata.number("t.i8")->value() == -5);
    CHECK(metadata.unsigned_integer("t.u16")->value() == 60000);
    CHECK(std::get<std::int64_t>(*metadata.find("t.i16")) == -300);
    CHECK(metadata.unsigned_integer("t.u32")->value() == 4000000000U);
    CHECK(std::get<std::int64_t>(*metadata.find("t.i32")) == -70000);
    CHECK(metadata.number("t.f32")->value() == 0.5);
    CHECK(metadata.boolean("t.bool")->value());
    CHECK(*metadata.text("t.text") == "a\xff");
    CHECK(metadata.unsigned_integer("t.u64")->value() == UINT64_MAX);
    CHECK(std::get<std::int64_t>(*metadata.find("t.i64")) == INT64_MIN);
    CHECK(metadata.number("t.f64")->value() == 1e300);
    CHECK(*metadata.texts("t.texts") == std::vector<std::string>{"x", "", "zz"});
    CHECK(*metadata.integers("t.bytes") == std::vector<std::int64_t>{1, 255});
    CHECK(*metadata.numbers("t.floats") == std::vector<double>{2.5});

    REQUIRE(model.tensors.size() == 2);
    const TensorInfo& second = *model.find("second");
    CHECK(second.dtype == tensor::Dtype::q4_0);
    CHECK(second.shape == std::vector<std::uint64_t>{3, 2, 64});
    CHECK(second.size_bytes == 18 * 2 * 6);
    CHECK(second.offset % 32 == 0);
    CHECK(file.substr(static_cast<std::size_t>(second.offset), 3) == "qqq");
    CHECK(second.offset + second.size_bytes == file.size());
    CHECK(model.find("third") == nullptr);
    CHECK(&model.source_of(second) == model.sources.front().get());
}

TEST_CASE("typed look-ups tell missing keys from keys of another type") {
    const ModelFile model =
        accepted(GgufBuilder().text("a", "x").pair("b", 5, number_bytes(-1)).build());
    CHECK_FALSE(model.metadata.unsigned_integer("none")->has_value());
    CHECK(model.metadata.unsigned_integer("a").error().context ==
          "metadata key \"a\" does not hold an integer of at least 0");
    CHECK(model.metadata.unsigned_integer("b").error().code == Errc::malformed);
    CHECK(model.metadata.number("a").error().code == Errc::malformed);
    CHECK(model.metadata.boolean("a").error().code == Errc::malformed);
    CHECK(model.metadata.text("b") == nullptr);
    CHECK(model.metadata.texts("a") == nullptr);
}

TEST_CASE("version 2 and a vocabulary without tensors are read") {
    GgufBuilder builder;
    builder.version = 2;
    builder.texts("tokenizer.ggml.tokens", {"a", "b"});
    const ModelFile model = accepted(builder.build());
    CHECK(model.tensors.empty());
    CHECK(model.metadata.texts("tokenizer.ggml.tokens")->size() == 2);
}

TEST_CASE("what is no GGUF file of a readable version is refused") {
    check_refused("", Errc::malformed, "shorter than 4 bytes");
    check_refused("GGU", Errc::malformed, "shorter than 4 bytes");
    check_refused("PK\x03\x04 and more", Errc::malformed, "not a GGUF file");
    check_refused("GGUF", Errc::malformed, "truncated");
    GgufBuilder builder;
    builder.version = 1;
    check_refused(builder.build(), Errc::unsupported, "GGUF version 1;");
    builder.version = 4;
    check_refused(builder.build(), Errc::unsupported, "GGUF version 4;");
    builder.version = 0x03000000;
    check_refused(builder.build(), Errc::unsupported, "big-endian");
    builder.version = 0;
    check_refused(builder.build(), Errc::unsupported, "GGUF version 0;");
}

TEST_CASE("counts that the file cannot hold are refused before anything is allocated") {
    GgufBuilder pairs;
    pairs.u32("a", 1).pair_count = UINT64_MAX;
    check_malformed(pairs, "18446744073709551615 metadata pairs cannot fit");
    GgufBuilder tensors;
    tensors.u32("a", 1).tensor_count = std::uint64_t{1} << 60;
    check_malformed(tensors, "1152921504606846976 tensors cannot be listed");
    GgufBuilder array;
    array.pair("a", 9, number_bytes(8U) + number_bytes<std::uint64_t>(std::uint64_t{1} << 61));
    check_malformed(array, "an array of 2305843009213693952 elements");
    GgufBuilder large;
    large.pair("a",
               9,
               number_bytes(0U) + number_bytes<std::uint64_t>((1 << 23) + 1) +
                   std::string((1 << 23) + 1, 'x'));
    check_malformed(large, "an array of 8388609 elements");
}

TEST_CASE("strings longer than the rest of the file or their limit are refused") {
    check_malformed(GgufBuilder().pair("a", 8, number_bytes<std::uint64_t>(100) + "x"),
                    "truncated: 100 bytes");
    check_malformed(GgufBuilder().pair("a", 8, number_bytes<std::uint64_t>(UINT64_MAX) + "x"),
                    "a string at offset");
    check_malformed(GgufBuilder().texts("a", {std::string((1 << 20) + 1, 'x')}),
                    "a string of an array at offset");
    check_malformed(GgufBuilder().u32(std::string(65536, 'k'), 1), "a metadata key at offset");
    accepted(GgufBuilder().u32(std::string(65535, 'k'), 1).build());
}

TEST_CASE("keys must be there and stand once") {
    check_malformed(GgufBuilder().u32("", 1), "an empty metadata key");
    check_malformed(GgufBuilder().u32("a", 1).text("a", "x"), "metadata key \"a\" stands twice");
}

TEST_CASE("values of unknown types, booleans beyond 1 and arrays of arrays are refused") {
    check_malformed(GgufBuilder().pair("a", 13, "xxxxxxxx"), "unknown value type 13");
    check_malformed(GgufBuilder().pair("a", 7, "\x02"), "a boolean is 2");
    check_malformed(
        GgufBuilder().pair("a", 9, number_bytes(7U) + number_bytes<std::uint64_t>(2) + "\x01\x05"),
        "a boolean is 5");
    check_malformed(GgufBuilder().pair("a", 9, number_bytes(99U) + number_bytes<std::uint64_t>(0)),
                    "unknown array type 99");
    check_refused(
        GgufBuilder().pair("a", 9, number_bytes(9U) + number_bytes<std::uint64_t>(0)).build(),
        Errc::unsupported,
        "arrays of arrays");
    check_malformed(GgufBuilder().pair("a",
                                       9,
                                       number_bytes(10U) + number_bytes<std::uint64_t>(1) +
                                           number_bytes(std::uint64_t{1} << 63)),
                    "more than 2^63 - 1");
}

TEST_CASE("the alignment must be a power of two from 8 to 1 MiB") {
    for (const std::uint32_t alignment : {0U, 4U, 24U, 33U, 1U << 21}) {
        check_malformed(GgufBuilder().u32("general.alignment", alignment), "general.alignment is");
    }
    GgufBuilder builder;
    builder.alignment = 64;
    builder.u32("general.alignment", 64).zeros("a", {1}).zeros("b", {1});
    CHECK(accepted(builder.build()).find("b")->offset % 64 == 0);
    check_malformed(GgufBuilder().text("general.alignment", "32"), "does not hold an integer");
}

TEST_CASE("tensor names are 1 to 63 bytes and unique") {
    check_malformed(GgufBuilder().zeros(std::string(64, 'n'), {1}), "a tensor name at offset");
    accepted(GgufBuilder().zeros(std::string(63, 'n'), {1}).build());
    check_malformed(GgufBuilder().zeros("", {1}), "a tensor without a name");
    check_malformed(GgufBuilder().zeros("a", {1}).zeros("b", {1}).zeros("a", {1}),
                    "two tensors are called \"a\"");
}

TEST_CASE("shapes have 1 to 4 dimensions of at least 1 and a size that fits") {
    check_malformed(GgufBuilder().tensor_at("a", {}, kTypeF32, 0).u32("pad", 1).zeros("b", {64}),
                    "0 dimensions");
    check_malformed(GgufBuilder().zeros("a", {1, 1, 1, 1, 1}), "5 dimensions");
    check_malformed(GgufBuilder().tensor("a", {4, 0}, kTypeF32, ""), "dimension 1 is 0");
    check_malformed(GgufBuilder().tensor_at("a", {UINT64_MAX}, kTypeF32, 0),
                    "dimension 0 is 18446744073709551615");
    const std::uint64_t half = std::uint64_t{1} << 32;
    check_malformed(GgufBuilder().tensor_at("a", {half, half}, kTypeF32, 0), "overflows");
    check_malformed(GgufBuilder().tensor_at("a", {half, half / 4}, kTypeF32, 0), "overflows");
}

TEST_CASE("types this build does not read are named") {
    const auto typed = [](std::uint32_t type) {
        return GgufBuilder().tensor("blk.0.x", {256}, type, std::string(4096, '\0')).build();
    };
    check_refused(typed(23), Errc::unsupported, "tensor \"blk.0.x\": its type IQ4_XS is not read");
    check_refused(typed(10), Errc::unsupported, "its type Q2_K is not read");
    check_refused(typed(39), Errc::unsupported, "its type MXFP4 is not read");
    check_refused(typed(4), Errc::unsupported, "its type 4 (unknown) is not read");
    check_refused(typed(1000), Errc::unsupported, "its type 1000 (unknown) is not read");
}

TEST_CASE("rows hold whole blocks") {
    check_malformed(GgufBuilder().tensor("a", {48}, kTypeQ40, std::string(64, '\0')),
                    "rows of 48 values are no whole blocks of Q4_0");
    check_malformed(GgufBuilder().tensor("a", {128}, 12, std::string(144, '\0')),
                    "no whole blocks of Q4_K");
}

TEST_CASE("tensors lie aligned, inside the file and apart") {
    check_malformed(GgufBuilder().zeros("a", {64}).tensor_at("b", {1}, kTypeF32, 4),
                    "not a multiple of 32");
    check_malformed(GgufBuilder().zeros("a", {64}).tensor_at("b", {1}, kTypeF32, 256),
                    "passes the end of the file");
    check_malformed(GgufBuilder().zeros("a", {64}).tensor_at("b", {1}, kTypeF32, UINT64_MAX - 31),
                    "passes the end of the file");
    check_malformed(GgufBuilder().zeros("a", {64}).tensor_at("b", {9}, kTypeF32, 224),
                    "passes the end of the file");
    check_malformed(GgufBuilder().zeros("a", {64}).tensor_at("b", {1}, kTypeF32, 224),
                    "\"a\" and \"b\" overlap");
    check_malformed(GgufBuilder().zeros("a", {64}).tensor_at("b", {1}, kTypeF32, 0), "overlap");
    GgufBuilder cut;
    cut.zeros("a", {64}).data_missing = 1;
    check_malformed(cut, "may be an incomplete download");
}

TEST_CASE("a file cut anywhere is refused") {
    GgufBuilder builder;
    builder.text("general.architecture", "llama").texts("list", {"a", "bc"}).zeros("t", {2, 2});
    const std::string file = builder.build();
    accepted(file);
    for (std::size_t size = 0; size < file.size(); ++size) {
        const auto model = read(std::string_view(file).substr(0, size));
        CHECK_MESSAGE(!model.has_value(), "cut to ", size);
    }
}

TEST_CASE("a file that must be fetched reads the same in few requests") {
    std::vector<std::string> tokens;
    tokens.reserve(150000);
    for (int i = 0; i < 150000; ++i) {
        tokens.push_back("token " + std::to_string(i));
    }
    const std::string file = GgufBuilder()
                                 .texts("tokens", tokens)
                                 .text("long", std::string(5 << 20, 'x'))
                                 .zeros("t", {4})
                                 .build();
    const ModelFile seen = accepted(file);
    auto source = std::make_unique<FetchedSource>(file);
    const FetchedSource& counter = *source;
    const auto fetched = read_gguf(std::move(source));
    REQUIRE_MESSAGE(fetched.has_value(), fetched.error().context);
    CHECK(fetched->metadata.values == seen.metadata.values);
    CHECK(fetched->tensors.front().offset == seen.tensors.front().offset);
    CHECK(counter.reads <= 10);
}

TEST_CASE("the planner's sample files are read or refused as they should be") {
    KWAAI_FIXTURE(two, "formats/tensorfs-planner-vectors/bin/gguf-v2-f32.bin");
    KWAAI_FIXTURE(three, "formats/tensorfs-planner-vectors/bin/gguf-v3-q4-0.bin");
    KWAAI_FIXTURE(unknown, "formats/tensorfs-planner-vectors/bin/gguf-unknown-type.bin");
    KWAAI_FIXTURE(version, "formats/tensorfs-planner-vectors/bin/gguf-unsupported-version.bin");
    const std::string second = testing::read_text(two);
    const ModelFile f32 = accepted(second);
    REQUIRE(f32.tensors.size() == 1);
    CHECK(f32.tensors.front().offset == 96);
    CHECK(f32.tensors.front().size_bytes == 8);
    const std::string third = testing::read_text(three);
    const ModelFile q4_0 = accepted(third);
    REQUIRE(q4_0.tensors.size() == 1);
    CHECK(q4_0.tensors.front().offset == 96);
    CHECK(q4_0.tensors.front().size_bytes == 18);
    CHECK(q4_0.tensors.front().dtype == tensor::Dtype::q4_0);
    check_refused(testing::read_text(unknown), Errc::unsupported, "is not read");
    check_refused(testing::read_text(version), Errc::unsupported, "GGUF version");
}

}  // namespace kwaai::inference
