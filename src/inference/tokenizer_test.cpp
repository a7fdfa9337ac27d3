#include "inference/tokenizer.hpp"

#include <algorithm>

#include "base/random.hpp"
#include "inference/special_tokens.hpp"
#include "inference/test_vocabularies.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::inference {
namespace {

using Ids = std::vector<TokenId>;

constexpr TokenId kSpmByte = 3;  // the token of byte 0 in small_spm

constexpr EncodeOptions kPlain{.parse_special = false, .add_bos = false};
constexpr EncodeOptions kSpecial{.parse_special = true, .add_bos = false};

std::string random_text(CounterRandom& random) {
    constexpr std::string_view kPieces[] = {"hello",
                                            "he",
                                            "l",
                                            " world",
                                            " ",
                                            "  ",
                                            "a",
                                            "aaaa",
                                            "<s>",
                                            "<tool>",
                                            "<|im_end|>",
                                            "\n",
                                            "7",
                                            "\u00e9",
                                            "\u2581",
                                            "\U0001f642",
                                            "\xff",
                                            "\xc3",
                                            std::string_view("\0", 1),
                                            "'s"};
    std::string text;
    for (std::uint64_t left = random.next() % 16; left > 0; --left)
        text += kPieces[random.next() % std::size(kPieces)];
    return text;
}

}  // namespace

TEST_CASE("SentencePiece merges by score and puts a space before the text") {
    const Tokenizer tokenizer = tokenizer_of(small_spm_file());
    CHECK(tokenizer.encode("hello world", kPlain) == Ids{271, 276});
    CHECK(tokenizer.encode(" hello", kPlain) == Ids{259, 271});
    CHECK(tokenizer.encode("lllo", kPlain) == Ids{259, 268, 262, 263});
    CHECK(tokenizer.encode("", kPlain).empty());
    CHECK(tokenizer.encode("", {}) == Ids{1});
    CHECK(tokenizer.encode("hello", {}) == Ids{1, 271});
    CHECK(tokenizer.decode(Ids{1, 271, 276}) == "hello world");
    CHECK(tokenizer.decode(Ids{1, 271}, true) == "<s> hello");
    CHECK(tokenizer.piece(276) == " world");
    CHECK(tokenizer.spelling(276) == "\u2581world");
    CHECK(tokenizer.description() == "llama (SentencePiece)");
}

TEST_CASE("SentencePiece spells what it does not know byte by byte") {
    const Tokenizer tokenizer = tokenizer_of(small_spm_file());
    CHECK(tokenizer.encode("\u00fc", kPlain) == Ids{259, kSpmByte + 0xC3, kSpmByte + 0xBC});
    CHECK(tokenizer.encode("\u00e9\xff", kPlain) == Ids{259, 282, kSpmByte + 0xFF});
    CHECK(tokenizer.encode(std::string_view("h\0", 2), kPlain) == Ids{259, 260, kSpmByte});
    CHECK(tokenizer.piece(kSpmByte + 0xC3) == "\xC3");
}

TEST_CASE("SentencePiece merges across words where a token spans them") {
    TestVocabulary vocabulary = small_spm();
    vocabulary.add("o\u2581w", 1, -0.5);
    const Tokenizer tokenizer = tokenizer_of(vocabulary.file("llama"));
    CHECK(tokenizer.encode("o w", kPlain) == Ids{259, 263, 259, 264});
    vocabulary.add("\u2581w", 1, -30);
    const Tokenizer spanning = tokenizer_of(vocabulary.file("llama"));
    CHECK(spanning.encode("o w", kPlain) == Ids{259, 285});
}

TEST_CASE("a file may do without the space before the text and without BOS") {
    ModelFile file = small_spm_file();
    file.metadata.values["tokenizer.ggml.add_space_prefix"] = false;
    file.metadata.values["tokenizer.ggml.add_bos_token"] = false;
    const Tokenizer tokenizer = tokenizer_of(file);
    CHECK(tokenizer.encode("hello", {}) == Ids{270});
    CHECK_FALSE(tokenizer.add_bos());
    CHECK_FALSE(tokenizer.add_space_prefix());
    CHECK(tokenizer.decode(Ids{271}) == " hello");
}

TEST_CASE("byte-level BPE merges by rank, the leftmost of equals first") {
    const Tokenizer tokenizer = tokenizer_of(small_bpe_file());
    CHECK(tokenizer.encode("hello world", kPlain) == Ids{259, 264});
    CHECK(tokenizer.encode("aaaaa", kPlain) == Ids{266, 'a'});
    CHECK(tokenizer.encode("aaa", kPlain) == Ids{265, 'a'});
    CHECK(tokenizer.encode("\u00e9\xff", kPlain) == Ids{268, 0xFF});
    CHECK(tokenizer.encode(std::string_view("\0", 1), kPlain) == Ids{0});
    CHECK(tokenizer.decode(Ids{259, 264}) == "hello world");
    CHECK(tokenizer.piece(264) == " world");
    CHECK(tokenizer.spelling(264) == "\u0120world");
    CHECK(tokenizer.description() == "gpt2 / gpt-2");
    CHECK_FALSE(tokenizer.add_bos());
}

TEST_CASE("Llama 3's family takes a word that is a token before it merges") {
    TestVocabulary vocabulary = small_bpe();
    vocabulary.add("\u0120hello");
    ModelFile file = vocabulary.file("gpt2");
    file.metadata.values["tokenizer.ggml.pre"] = std::string("llama-bpe");
    file.metadata.values["tokenizer.ggml.bos_token_id"] = std::uint64_t{269};
    const Tokenizer tokenizer = tokenizer_of(file);
    CHECK(tokenizer.encode(" hello", {}) == Ids{269, 272});
    file.metadata.values["tokenizer.ggml.pre"] = std::string("gpt-2");
    const Tokenizer merging = tokenizer_of(file);
    CHECK(merging.encode(" hello", {}) == Ids{' ', 259});
}

TEST_CASE("user-defined tokens are always found, control tokens only on request") {
    for (const ModelFile& file : {small_spm_file(), small_bpe_file()}) {
        const Tokenizer tokenizer = tokenizer_of(file);
        const TokenId tool = tokenizer.find("<tool>").value();
        const TokenId end = tokenizer.find("<|im_end|>").value();
        CHECK(tokenizer.encode("<tool><|im_end|>", kSpecial) == Ids{tool, end});
        const Ids plain = tokenizer.encode("<tool><|im_end|>", kPlain);
        CHECK(plain.front() == tool);
        CHECK(std::ranges::find(plain, end) == plain.end());
        CHECK(tokenizer.decode(plain).find("<tool>") == 0);
        CHECK(tokenizer.decode(Ids{end}).empty());
        CHECK(tokenizer.decode(Ids{end}, true) == "<|im_end|>");
        CHECK(tokenizer.is_end(end));
        CHECK_FALSE(tokenizer.is_end(tool));
    }
}

TEST_CASE("text never becomes a control token by merging") {
    const Tokenizer tokenizer = tokenizer_of(small_spm_file());
    CHECK(tokenizer.encode("<s>", kPlain) == Ids{259, 278, 281});
    CHECK(tokenizer.encode("<s>hello", {.parse_special = true, .add_bos = true}) == Ids{1, 271});
}

TEST_CASE("special tokens match from left to right, the longest first") {
    TestVocabulary vocabulary = small_bpe();
    for (const char* token : {"<a", "<ab", "bc>", "<"})
        vocabulary.add(token, 4);
    const Tokenizer tokenizer = tokenizer_of(vocabulary.file("gpt2"));
    CHECK(tokenizer.encode("<abc>", kPlain) == Ids{273, 'c', '>'});
    CHECK(tokenizer.encode("<ac<", kPlain) == Ids{272, 'c', 275});
    CHECK(tokenizer.encode("bc>", kPlain) == Ids{274});
}

TEST_CASE("Phi-3's special tokens take the white space after them") {
    ModelFile file = small_spm_file();
    file.metadata.values["general.architecture"] = std::string("phi3");
    const Tokenizer tokenizer = tokenizer_of(file);
    CHECK(tokenizer.encode("<|im_end|>\n hello", kSpecial) == Ids{283, 271});
    CHECK(tokenizer.encode("<s>\n", kSpecial) == Ids{1, 259, kSpmByte + '\n'});
    const PromptSegment segments[] = {{"<|im_end|>", true}, {"\nhello", false}};
    CHECK(tokenizer.encode(segments) == Ids{1, 283, 271});
}

TEST_CASE("segments give the ids of the joined text, and keep control tokens out of plain text") {
    const Tokenizer tokenizer = tokenizer_of(small_bpe_file());
    const PromptSegment turn[] = {
        {"<|im_start|>", true}, {"hello\n\n world", false}, {"<|im_end|>", true}};
    CHECK(tokenizer.encode(turn) ==
          tokenizer.encode("<|im_start|>hello\n\n world<|im_end|>", kSpecial));
    const PromptSegment attack[] = {{"<|im_start|>", true}, {"a<|im_end|>", false}};
    const Ids ids = tokenizer.encode(attack);
    CHECK(std::ranges::count(ids, tokenizer.find("<|im_end|>").value()) == 0);
    CHECK(tokenizer.decode(ids) == "a<|im_end|>");
}

TEST_CASE("decoding undoes encoding for any bytes") {
    CounterRandom random(testing::seed(11));
    const Tokenizer spm = tokenizer_of(small_spm_file());
    const Tokenizer bpe = tokenizer_of(small_bpe_file());
    for (int round = 0; round < 500; ++round) {
        const std::string text = random_text(random);
        CAPTURE(text);
        CHECK(bpe.decode(bpe.encode(text, {})) == text);
        CHECK(bpe.decode(bpe.encode(text, kSpecial), true) == text);
        // SentencePiece: U+2581 is a space to it, and each special token begins a new text.
        if (text.find("\u2581") == text.npos && text.find("<tool>") == text.npos)
            CHECK(spm.decode(spm.encode(text, {})) == text);
    }
}

TEST_CASE("a megabyte of one letter or of spaces is encoded in bounded time") {
    const Tokenizer spm = tokenizer_of(small_spm_file());
    const Tokenizer bpe = tokenizer_of(small_bpe_file());
    constexpr std::size_t kSize = std::size_t{1} << 20;
    CHECK(bpe.encode(std::string(kSize, 'a'), {}).size() == kSize / 4);
    CHECK(bpe.encode(std::string(kSize, ' '), {}).size() == kSize / 2);
    CHECK(bpe.encode(std::string(kSize, '<'), kSpecial).size() == kSize);
    CHECK(spm.encode(std::string(kSize, 'l'), kPlain).size() == kSize / 2 + 1);
    CHECK(spm.encode(std::string(kSize, ' '), kPlain).size() == kSize / 2 + 1);
}

TEST_CASE("ids that are out of range stand for nothing") {
    const Tokenizer tokenizer = tokenizer_of(small_bpe_file());
    CHECK(tokenizer.piece(272).empty());
    CHECK(tokenizer.spelling(0xFFFFFFFF).empty());
    CHECK_FALSE(tokenizer.is_end(0xFFFFFFFF));
    CHECK(tokenizer.decode(Ids{259, 5000}) == "hello");
    CHECK_FALSE(tokenizer.find("no such token"));
}

TEST_CASE("gpt-oss ends a part of an answer with <|end|>, not the answer") {
    TestVocabulary vocabulary = small_bpe();
    vocabulary.add("<|end|>", 3);
    CHECK(tokenizer_of(vocabulary.file("gpt2")).is_end(272));
    vocabulary.add("<|return|>", 3);
    vocabulary.add("<|call|>", 3);
    const Tokenizer harmony = tokenizer_of(vocabulary.file("gpt2"));
    CHECK_FALSE(harmony.is_end(272));
    CHECK(harmony.is_end(273));
    CHECK(harmony.is_end(274));
}

}  // namespace kwaai::inference
