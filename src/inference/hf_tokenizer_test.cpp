// What is expected was compared once with the Python package `tokenizers` on the same documents.
#include <string>

#include "inference/test_vocabularies.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::inference {
namespace {

using Ids = std::vector<TokenId>;

constexpr EncodeOptions kPlain{.parse_special = false, .add_bos = false};

// `text` with its first `from` replaced by `to`.
std::string with(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != text.npos);
    return text.replace(at, from.size(), to);
}

// BPE of characters with byte fallback, as Llama 2 has it.
const std::string kLlama = R"({
  "added_tokens": [
    {"id": 0, "content": "<unk>", "special": true},
    {"id": 1, "content": "<s>", "special": true},
    {"id": 2, "content": "</s>", "special": true},
    {"id": 15, "content": "<tool>", "special": false, "rstrip": true}],
  "normalizer": {"type": "Sequence", "normalizers": [
    {"type": "Prepend", "prepend": "▁"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
  "pre_tokenizer": null,
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}]},
  "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "fuse_unk": true,
    "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "<0xC3>": 3, "<0xBC>": 4, "▁": 5, "h": 6, "i": 7,
              "hi": 8, "▁hi": 9, "▁▁": 10, "o": 11, "i▁": 12, "▁h": 13, "<0x0A>": 14},
    "merges": ["h i", ["▁", "hi"], "▁ ▁", ["i", "▁"]]}})";

// Byte-level BPE with the letters of "hey 1!" and a newline; the pre-tokenizer is put in.
std::string byte_level(std::string_view pre_tokenizer) {
    return R"({"added_tokens": [{"id": 11, "content": "<|im_end|>", "special": true}],
      "normalizer": {"type": "NFC"}, "post_processor": {"type": "ByteLevel"},
      "pre_tokenizer": )" +
           std::string(pre_tokenizer) + R"(,
      "model": {"type": "BPE", "vocab": {"h": 0, "e": 1, "y": 2, "Ġ": 3, "1": 4, "!": 5, "Ċ": 6,
        "he": 7, "Ġh": 8, "11": 9, "111": 10},
        "merges": ["h e", "Ġ h", "1 1", "11 1"]}})";
}

constexpr std::string_view kByteLevel =
    R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})";

// A Sequence of a split by `pattern` (escaped for JSON) and ByteLevel.
std::string split_by(std::string_view pattern) {
    return R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": ")" +
           std::string(pattern) + R"("}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})";
}

constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+)"
    R"([\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+)";

Result<Tokenizer> load(std::string json,
                       std::string tokenizer_config = "",
                       std::string config = "") {
    ModelFile file;
    file.tokenizer_json = std::move(json);
    file.tokenizer_config_json = std::move(tokenizer_config);
    file.config_json = std::move(config);
    return Tokenizer::from_model(file);
}

Tokenizer loaded(std::string json, std::string tokenizer_config = "", std::string config = "") {
    auto tokenizer = load(std::move(json), std::move(tokenizer_config), std::move(config));
    REQUIRE_MESSAGE(tokenizer.has_value(), tokenizer.error().context);
    return std::move(*tokenizer);
}

std::string problem(Errc code, std::string json, std::string config = "") {
    const auto tokenizer = load(std::move(json), "", std::move(config));
    REQUIRE_FALSE(tokenizer.has_value());
    CHECK(tokenizer.error().code == code);
    return tokenizer.error().context;
}

bool has(const std::string& text, std::string_view part) {
    CAPTURE(text);
    return text.find(part) != text.npos;
}

}  // namespace

TEST_CASE("a Llama 2 tokenizer.json merges characters and falls back to bytes") {
    const Tokenizer tokenizer = loaded(kLlama);
    CHECK(tokenizer.encode("hi", {}) == Ids{1, 9});
    CHECK(tokenizer.encode(" hi", kPlain) == Ids{5, 9});
    CHECK(tokenizer.encode("ü\n", kPlain) == Ids{5, 3, 4, 14});
    CHECK(tokenizer.encode("x", kPlain) == Ids{5, 0});
    CHECK(tokenizer.encode("<tool>  hi", kPlain) == Ids{15, 9});
    CHECK(tokenizer.decode(Ids{1, 9, 14, 3, 4}) == "hi\nü");
    CHECK(tokenizer.bos() == 1);
    CHECK(tokenizer.add_bos());
    CHECK(tokenizer.add_space_prefix());
}

TEST_CASE("a Metaspace puts its space before the first text only, or before every one") {
    constexpr std::string_view kOld = "\"pre_tokenizer\": null";
    const auto metaspace = [&](std::string_view options) {
        std::string json = with(kLlama,
                                kOld,
                                R"("pre_tokenizer": {"type": "Metaspace", "replacement": "▁", )" +
                                    std::string(options) + "}");
        const std::size_t begin = json.find("{\"type\": \"Sequence\"");
        const std::size_t end = json.find("]}", begin) + 2;
        return loaded(json.replace(begin, end - begin, "null"));
    };
    const Tokenizer first = metaspace(R"("prepend_scheme": "first", "split": false)");
    CHECK(first.encode("hi<tool>hi hi", kPlain) == Ids{9, 15, 8, 9});
    CHECK(first.encode(" hi", kPlain) == Ids{9});
    const Tokenizer every = metaspace(R"("prepend_scheme": "always", "split": false)");
    CHECK(every.encode("hi<tool>hi", kPlain) == Ids{9, 15, 9});
    const Tokenizer never = metaspace(R"("prepend_scheme": "never", "split": true)");
    CHECK(never.encode("hi", kPlain) == Ids{8});
    CHECK_FALSE(never.add_space_prefix());
    CHECK(never.encode("o  hi", kPlain) == Ids{11, 5, 9});
    const Tokenizer joined = metaspace(R"("add_prefix_space": false, "split": false)");
    CHECK(joined.encode("o  hi", kPlain) == Ids{11, 5, 9});
    CHECK(joined.encode("o   o", kPlain) == Ids{11, 10, 5, 11});
    CHECK(never.encode("o   o", kPlain) == Ids{11, 5, 5, 5, 11});
}

TEST_CASE("byte-level documents are cut as their pre-tokenizer says") {
    const Tokenizer gpt2 = loaded(byte_level(kByteLevel));
    CHECK(gpt2.encode("hey he 1111!", {}) == Ids{7, 2, 3, 7, 3, 9, 9, 5});
    CHECK(gpt2.decode(Ids{7, 2, 8, 1}) == "hey he");
    CHECK(gpt2.encode("<|im_end|>", {.parse_special = true}) == Ids{11});
    CHECK(gpt2.is_end(11));
    CHECK_FALSE(gpt2.add_bos());

    const Tokenizer digits = loaded(byte_level(
        R"({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": false}]})"));
    CHECK(digits.encode("he 111", {}) == Ids{7, 3, 4, 4, 4});

    const Tokenizer llama3 = loaded(byte_level(split_by(kLlama3Pattern)));
    CHECK(llama3.encode("1111!\n\nhe", {}) == Ids{10, 4, 5, 6, 6, 7});
    const Tokenizer qwen2 =
        loaded(byte_level(split_by(with(std::string(kLlama3Pattern), "{1,3}", ""))));
    CHECK(qwen2.encode("1111", {}) == Ids{4, 4, 4, 4});
}

TEST_CASE("ignore_merges takes words that are tokens whole") {
    const std::string merging =
        with(byte_level(kByteLevel), "\"111\": 10}", "\"111\": 10, \"hey\": 12}");
    CHECK(loaded(merging).encode("hey", {}) == Ids{7, 2});
    const std::string ignoring = with(merging, "\"BPE\"", "\"BPE\", \"ignore_merges\": true");
    CHECK(loaded(ignoring).encode("hey", {}) == Ids{12});
}

TEST_CASE("BOS and EOS come from tokenizer_config.json and config.json") {
    const Tokenizer named = loaded(byte_level(kByteLevel),
                                   R"({"bos_token": "h", "eos_token": {"content": "!"},
                                       "add_bos_token": true})");
    CHECK(named.bos() == 0);
    CHECK(named.eos() == 5);
    CHECK(named.is_end(5));
    CHECK(named.encode("he", {}) == Ids{0, 7});
    const Tokenizer numbered =
        loaded(byte_level(kByteLevel), "", R"({"bos_token_id": 1, "eos_token_id": [2, 3]})");
    CHECK(numbered.bos() == 1);
    CHECK(numbered.eos() == 2);
    CHECK(numbered.is_end(3));
    CHECK_FALSE(numbered.add_bos());
    const Tokenizer without = loaded(kLlama, R"({"add_bos_token": false})");
    CHECK(without.encode("hi", {}) == Ids{9});
    CHECK(has(problem(Errc::malformed, byte_level(kByteLevel), R"({"eos_token_id": 12})"),
              "config.json: eos_token_id"));
}

TEST_CASE("what this build does not do is named") {
    const auto unsupported = [](std::string json) {
        return problem(Errc::unsupported, std::move(json));
    };
    CHECK(has(unsupported(with(kLlama, "\"BPE\"", "\"Unigram\"")), "Unigram"));
    CHECK(has(unsupported(with(kLlama, "Prepend", "Lowercase")), "Lowercase"));
    CHECK(has(unsupported(with(kLlama, "TemplateProcessing", "BertProcessing")), "BertProcessing"));
    CHECK(has(unsupported(with(kLlama, "\"special\": true", "\"single_word\": true")),
              "single_word"));
    CHECK(has(unsupported(byte_level(split_by("[a-z]+"))), "[a-z]+"));
    CHECK(has(unsupported(byte_level(R"({"type": "Whitespace"})")), "Whitespace"));
    CHECK(has(unsupported(byte_level(R"({"type": "ByteLevel"})")), "add_prefix_space"));
    CHECK(has(unsupported(with(kLlama, "\"fuse_unk\"", "\"end_of_word_suffix\": \"x\", \"f\"")),
              "end_of_word_suffix"));
}

TEST_CASE("malformed documents are refused with the place") {
    const auto malformed = [](std::string json) {
        return problem(Errc::malformed, std::move(json));
    };
    CHECK(has(malformed("{"), "tokenizer.json"));
    CHECK(has(malformed("{}"), "model"));
    CHECK(has(malformed(R"({"model": {"vocab": {}, "merges": []}})"), "model"));
    CHECK(has(malformed(with(kLlama, "\"h i\"", "\"hi\"")), "merges[0]"));
    CHECK(has(malformed(with(kLlama, "\"h i\"", "\"h z\"")), "merges[0]"));
    CHECK(has(malformed(with(kLlama, "[\"i\", \"▁\"]", "[\"i\"]")), "merges[3]"));
    CHECK(has(malformed(with(kLlama, "\"h\": 6", "\"h\": -1")), "vocab"));
    CHECK(has(malformed(with(kLlama, "\"h\": 6", "\"h\": 4194304")), "vocab"));
    CHECK(has(malformed(with(kLlama, "\"h\": 6", "\"h\": 7")), "token 7"));
    CHECK(has(malformed(with(kLlama, "\"unk_token\": \"<unk>\"", "\"unk_token\": \"?\"")),
              "unk_token"));
    CHECK(has(malformed(with(kLlama, "{\"id\": \"<s>\"", "{\"id\": \"<x>\"")), "SpecialToken"));
}

TEST_CASE("ids that no token has are gaps, not errors") {
    const Tokenizer tokenizer = loaded(with(kLlama, "\"id\": 15", "\"id\": 40"));
    CHECK(tokenizer.size() == 41);
    CHECK(tokenizer.piece(20).empty());
    CHECK(tokenizer.encode("<tool>", kPlain) == Ids{40});
}

TEST_CASE("the tokenizer of a Petals test model is read") {
    KWAAI_FIXTURE(path, "petals/model/tokenizer.json");
    const Tokenizer tokenizer = loaded(testing::read_text(path));
    CHECK(tokenizer.size() == 300);
    const std::string text = "the lazy brown fox, 12 é\n";
    CHECK(tokenizer.decode(tokenizer.encode(text, {})) == text);
    CHECK(tokenizer.encode("the", {}).size() == 1);
    CHECK_FALSE(tokenizer.add_bos());
}

}  // namespace kwaai::inference
