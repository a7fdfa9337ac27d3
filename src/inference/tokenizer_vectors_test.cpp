// Real vocabularies against the ids that their original tokenizers give.
#include <sstream>

#include "inference/model_file.hpp"
#include "inference/tokenizer.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::inference {
namespace {

// Bytes of a file, owned.
class LoadedFile final : public ByteSource {
public:
    explicit LoadedFile(const std::string& path)
        : bytes_(testing::read_file(path)), source_(path, bytes_) {}

    [[nodiscard]] std::string name() const override { return source_.name(); }

    [[nodiscard]] std::uint64_t size() const override { return source_.size(); }

    Result<void> read(std::uint64_t offset, MutableBytes out) const override {
        return source_.read(offset, out);
    }

    [[nodiscard]] Bytes view(std::uint64_t offset, std::size_t size) const override {
        return source_.view(offset, size);
    }

private:
    std::vector<std::byte> bytes_;
    MemorySource source_;
};

Tokenizer load(const std::string& path) {
    auto file = read_gguf(std::make_unique<LoadedFile>(path));
    REQUIRE_MESSAGE(file.has_value(), file.error().context);
    auto tokenizer = Tokenizer::from_model(*file);
    REQUIRE_MESSAGE(tokenizer.has_value(), tokenizer.error().context);
    return std::move(*tokenizer);
}

std::vector<std::string> split(std::string_view text, std::string_view separator) {
    std::vector<std::string> parts;
    for (std::size_t end = text.find(separator); end != text.npos; end = text.find(separator)) {
        parts.emplace_back(text.substr(0, end));
        text.remove_prefix(end + separator.size());
    }
    parts.emplace_back(text);
    return parts;
}

std::vector<TokenId> parse_ids(const std::string& line) {
    std::istringstream stream(line);
    std::vector<TokenId> ids;
    for (TokenId id = 0; stream >> id;)
        ids.push_back(id);
    return ids;
}

std::vector<TokenId> parse_json_ids(std::string text) {
    for (char& letter : text)
        if (letter == '[' || letter == ',' || letter == ']') letter = ' ';
    return parse_ids(text);
}

void check_vectors(const std::string& vocabulary, const std::string& root) {
    const Tokenizer tokenizer = load(root + vocabulary);
    const auto inputs =
        split(testing::read_text(root + vocabulary + ".inp"), "\n__ggml_vocab_test__\n");
    const auto outputs = split(testing::read_text(root + vocabulary + ".out"), "\n");
    REQUIRE(inputs.size() > 40);
    REQUIRE(outputs.size() >= inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        CAPTURE(inputs[i]);
        const auto ids = tokenizer.encode(inputs[i], {.parse_special = false, .add_bos = false});
        CHECK(ids == parse_ids(outputs[i]));
        CHECK(tokenizer.decode(ids) == inputs[i]);
    }
}

}  // namespace

TEST_CASE("each vocabulary gives the ids that its original tokenizer gives") {
    KWAAI_FIXTURE(root, "tokenizers/llama.cpp-vocab");
    for (const char* name : {"llama-spm",
                             "phi-3",
                             "gpt-2",
                             "starcoder",
                             "refact",
                             "mpt",
                             "deepseek-llm",
                             "deepseek-coder",
                             "falcon"}) {
        CAPTURE(name);
        check_vectors(std::string("/ggml-vocab-") + name + ".gguf", root);
    }
}

TEST_CASE("SmolLM2 gives the reference's ids for a whole book, and the book for its ids") {
    KWAAI_FIXTURE(text_path, "text/frankenstein.txt");
    KWAAI_FIXTURE(ids_path, "smollm2/frankenstein.ids.json");
    const auto model = testing::smollm2_model();
    if (!model) {
        MESSAGE("skipped: no SmolLM2 model (set KWAAI_MODEL)");
        return;
    }
    const Tokenizer tokenizer = load(*model);
    CHECK(tokenizer.description() == "gpt2 / smollm");
    CHECK(tokenizer.size() == 49152);
    CHECK_FALSE(tokenizer.add_bos());
    CHECK(tokenizer.is_end(tokenizer.find("<|im_end|>").value()));
    const std::string text = testing::read_text(text_path);
    const auto expected = parse_json_ids(testing::read_text(ids_path));
    REQUIRE(expected.size() == 92662);
    const auto ids = tokenizer.encode(text, {.parse_special = false, .add_bos = true});
    CHECK((ids == expected));
    CHECK((tokenizer.decode(ids) == text));
}

}  // namespace kwaai::inference
