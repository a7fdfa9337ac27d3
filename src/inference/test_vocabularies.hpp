// Small vocabularies made in code, for tests and fuzzing of this room.
#pragma once
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "inference/byte_alphabet.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai::inference {

/// A GGUF vocabulary while it is made.
struct TestVocabulary {
    std::vector<std::string> tokens;
    std::vector<std::int64_t> types;
    std::vector<double> scores;
    std::vector<std::string> merges;

    void add(std::string token, std::int64_t type = 1, double score = 0) {
        tokens.push_back(std::move(token));
        types.push_back(type);
        scores.push_back(score);
    }

    [[nodiscard]] ModelFile file(std::string model) const {
        ModelFile file;
        auto& values = file.metadata.values;
        values["tokenizer.ggml.model"] = std::move(model);
        values["tokenizer.ggml.tokens"] = tokens;
        values["tokenizer.ggml.token_type"] = types;
        values["tokenizer.ggml.scores"] = scores;
        values["tokenizer.ggml.merges"] = merges;
        return file;
    }
};

/// SentencePiece: <unk> <s> </s>, 256 bytes (ids 3 to 258), then from 259 on the letters and words
/// of "hello world", <|im_end|> called user-defined, and the user-defined "<tool>".
inline TestVocabulary small_spm() {
    TestVocabulary vocabulary;
    vocabulary.add("<unk>", 2);
    vocabulary.add("<s>", 3);
    vocabulary.add("</s>", 3);
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    for (std::size_t byte = 0; byte < 256; ++byte)
        vocabulary.add(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">", 6);
    double score = 0;
    for (const char* word : {"\u2581",
                             "h",
                             "e",
                             "l",
                             "o",
                             "w",
                             "r",
                             "d",
                             "he",
                             "ll",
                             "llo",
                             "hello",
                             "\u2581hello",
                             "wo",
                             "ld",
                             "\u2581wo",
                             "\u2581wor",
                             "\u2581world",
                             "\u2581\u2581",
                             "<",
                             "s",
                             ">",
                             "s>",
                             "\u00e9"})
        vocabulary.add(word, 1, score -= 1);
    vocabulary.add("<|im_end|>", 4);
    vocabulary.add("<tool>", 4);
    return vocabulary;
}

/// Byte-level BPE: the 256 bytes (id = byte value), then from 256 on what `merges` make, then
/// <|im_start|>, <|im_end|> (control) and "<tool>" (user-defined).
inline TestVocabulary small_bpe() {
    TestVocabulary vocabulary;
    for (unsigned byte = 0; byte < 256; ++byte) {
        const char raw = static_cast<char>(byte);
        vocabulary.add(spell_bytes({&raw, 1}));
    }
    vocabulary.merges = {"h e",
                         "l l",
                         "he ll",
                         "hell o",
                         "Ġ w",
                         "Ġw o",
                         "r l",
                         "rl d",
                         "Ġwo rld",
                         "a a",
                         "aa aa",
                         "Ġ Ġ",
                         "Ã ©"};
    for (const std::string& merge : vocabulary.merges) {
        std::string token = merge;
        vocabulary.add(token.erase(token.find(' '), 1));
    }
    vocabulary.add("<|im_start|>", 3);
    vocabulary.add("<|im_end|>", 3);
    vocabulary.add("<tool>", 4);
    return vocabulary;
}

inline ModelFile small_spm_file() {
    return small_spm().file("llama");
}

inline ModelFile small_bpe_file() {
    ModelFile file = small_bpe().file("gpt2");
    file.metadata.values["tokenizer.ggml.pre"] = std::string("gpt-2");
    return file;
}

/// A tokenizer that must be good.
inline Tokenizer tokenizer_of(const ModelFile& file) {
    Result<Tokenizer> tokenizer = Tokenizer::from_model(file);
    KWAAI_CHECK(tokenizer.has_value(), "the vocabularies of tests are good");
    return std::move(*tokenizer);
}

}  // namespace kwaai::inference
