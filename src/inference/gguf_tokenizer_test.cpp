#include <limits>

#include "inference/test_vocabularies.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::inference {
namespace {

// What is wrong with a file, or "" where nothing is.
std::string problem(const ModelFile& file, Errc code = Errc::malformed) {
    const auto tokenizer = Tokenizer::from_model(file);
    if (tokenizer) return "";
    CHECK(tokenizer.error().code == code);
    return tokenizer.error().context;
}

std::string problem_with(std::string_view model, const std::string& key, MetadataValue value) {
    ModelFile file = model == "llama" ? small_spm_file() : small_bpe_file();
    file.metadata.values["tokenizer.ggml." + key] = std::move(value);
    return problem(file);
}

bool names(const std::string& problem, std::string_view key) {
    CAPTURE(problem);
    return problem.find(key) != problem.npos;
}

}  // namespace

TEST_CASE("a file without a tokenizer, or with an unknown kind, says so") {
    CHECK(names(problem(ModelFile()), "tokenizer.ggml.model"));
    ModelFile file = small_spm_file();
    file.metadata.values["tokenizer.ggml.model"] = std::string("bert");
    CHECK(names(problem(file, Errc::unsupported), "\"bert\""));
    file = small_bpe_file();
    file.metadata.values["tokenizer.ggml.pre"] = std::string("pre-of-2030");
    CHECK(names(problem(file, Errc::unsupported), "\"pre-of-2030\""));
}

TEST_CASE("arrays of the vocabulary must be there and be of one length") {
    CHECK(names(problem_with("llama", "tokens", std::vector<std::string>()),
                "tokenizer.ggml.tokens"));
    CHECK(names(problem_with("llama", "tokens", true), "tokenizer.ggml.tokens"));
    CHECK(names(problem_with("llama", "scores", std::vector<double>(3)), "tokenizer.ggml.scores"));
    CHECK(names(problem_with("llama", "scores", false), "tokenizer.ggml.scores"));
    CHECK(names(problem_with("llama", "token_type", std::vector<std::int64_t>(3, 1)),
                "tokenizer.ggml.token_type"));
    CHECK(names(problem_with("gpt2", "token_type", std::string("normal")),
                "tokenizer.ggml.token_type"));
    CHECK(names(problem_with("gpt2", "merges", 7.0), "tokenizer.ggml.merges"));
}

TEST_CASE("values of the vocabulary are checked") {
    const TestVocabulary spm = small_spm();
    auto scores = spm.scores;
    scores[5] = std::numeric_limits<double>::quiet_NaN();
    CHECK(names(problem_with("llama", "scores", scores), "token 5"));
    auto types = spm.types;
    types[7] = 9;
    CHECK(names(problem_with("llama", "token_type", types), "type 9"));
    for (const char* spelling : {"<0x4", "<0xGG>", "<0x041>", "0x41", ""}) {
        auto tokens = spm.tokens;
        tokens[8] = spelling;
        CHECK(names(problem_with("llama", "tokens", tokens), "token 8"));
    }
}

TEST_CASE("ids of special tokens must be in the vocabulary") {
    for (const char* key :
         {"bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id", "unknown_token_id"}) {
        CAPTURE(key);
        CHECK(names(problem_with("llama", key, std::uint64_t{100000}), key));
        CHECK(names(problem_with("gpt2", key, std::int64_t{-1}), key));
    }
    CHECK(names(problem_with("gpt2", "add_bos_token", true), "bos_token_id"));
    CHECK(names(problem_with("gpt2", "add_bos_token", std::string("yes")), "add_bos_token"));
}

TEST_CASE("merges must join tokens of the vocabulary into a token") {
    for (const char* merge : {"h x y", "h z", "hz e", "he", " he", "h ", ""}) {
        auto merges = small_bpe().merges;
        merges.emplace_back(merge);
        CAPTURE(merge);
        CHECK(names(problem_with("gpt2", "merges", merges), "tokenizer.ggml.merges: entry 13"));
    }
}

TEST_CASE("a byte-level vocabulary may lack bytes: they are left out, or unknown") {
    TestVocabulary vocabulary = small_bpe();
    vocabulary.tokens[0xFF] = "[removed]";
    ModelFile file = vocabulary.file("gpt2");
    CHECK(tokenizer_of(file).encode("a\xff", {}) == std::vector<TokenId>{'a'});
    file.metadata.values["tokenizer.ggml.unknown_token_id"] = std::uint64_t{0xFF};
    CHECK(tokenizer_of(file).encode("a\xff", {}) == std::vector<TokenId>{'a', 0xFF});
}

TEST_CASE("a user-defined letter is text, not the byte that its letter spells") {
    TestVocabulary vocabulary = small_bpe();
    vocabulary.tokens[0xFF] = "[removed]";
    vocabulary.add("\u00ff", 4);
    const Tokenizer tokenizer = tokenizer_of(vocabulary.file("gpt2"));
    CHECK(tokenizer.encode("\u00ff\xff", {}) == std::vector<TokenId>{272});
    CHECK(tokenizer.piece(272) == "\u00ff");
}

TEST_CASE("a user-defined EOS is a control token") {
    ModelFile file = small_bpe_file();
    file.metadata.values["tokenizer.ggml.eos_token_id"] = std::uint64_t{271};
    const Tokenizer tokenizer = tokenizer_of(file);
    CHECK(tokenizer.is_end(271));
    CHECK(tokenizer.encode("<tool>", {}).size() == 6);
    CHECK(tokenizer.encode("<tool>", {.parse_special = true}) == std::vector<TokenId>{271});
}

}  // namespace kwaai::inference
