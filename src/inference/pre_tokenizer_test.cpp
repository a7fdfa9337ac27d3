// The expectations were compared once with the original patterns in a regular-expression engine.
#include "inference/pre_tokenizer.hpp"

#include <string>
#include <vector>

#include "base/random.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::inference {
namespace {

using Words = std::vector<std::string>;

constexpr PreTokenizer kAll[] = {
    PreTokenizer::gpt2,
    PreTokenizer::llama3,
    PreTokenizer::qwen2,
    PreTokenizer::digits_gpt2,
    PreTokenizer::falcon,
    PreTokenizer::deepseek_llm,
    PreTokenizer::deepseek_coder,
    PreTokenizer::fallback,
};

Words split(PreTokenizer how, std::string_view text) {
    Words words;
    split_words(how, text, [&](std::string_view word) { words.emplace_back(word); });
    return words;
}

}  // namespace

TEST_CASE("GPT-2 keeps a space with the word after it and knows lower-case contractions") {
    const auto how = PreTokenizer::gpt2;
    CHECK(split(how, "Hello world") == Words{"Hello", " world"});
    CHECK(split(how, "I'm we'LL they've") == Words{"I", "'m", " we", "'", "LL", " they", "'ve"});
    CHECK(split(how, "a1b 23!?c") == Words{"a", "1", "b", " 23", "!?", "c"});
    CHECK(split(how, "a   b") == Words{"a", "  ", " b"});
    CHECK(split(how, "a\n\nb \t\n") == Words{"a", "\n", "\n", "b", " \t\n"});
    CHECK(split(how, " \u00a0x") == Words{" ", "\u00a0", "x"});
}

TEST_CASE("Llama 3 takes three digits, one mark before a word, and line ends after marks") {
    const auto how = PreTokenizer::llama3;
    CHECK(split(how, "12345 678") == Words{"123", "45", " ", "678"});
    CHECK(split(how, "(word) \"word") == Words{"(word", ")", " \"", "word"});
    CHECK(split(how, "we'LL don'T it'\u017f") ==
          Words{"we", "'LL", " don", "'T", " it", "'\u017f"});
    CHECK(split(how, "'re'x") == Words{"'re", "'x"});
    CHECK(split(how, "end.\r\n\r\n  next") == Words{"end", ".\r\n\r\n", " ", " next"});
    CHECK(split(how, "a  \n \n  b") == Words{"a", "  \n \n", " ", " b"});
    CHECK(split(how, "\tx\n") == Words{"\tx", "\n"});
    CHECK(split(how, "x  ") == Words{"x", "  "});
    CHECK(split(how, "\u00e9t\u00e9\u0301s") == Words{"\u00e9t\u00e9", "\u0301s"});
}

TEST_CASE("Qwen 2 is Llama 3 with single digits") {
    const auto how = PreTokenizer::qwen2;
    CHECK(split(how, "12345 678") == Words{"1", "2", "3", "4", "5", " ", "6", "7", "8"});
    CHECK(split(how, "end.\n\nNext 2\u00bd") == Words{"end", ".\n\n", "Next", " ", "2", "\u00bd"});
    CHECK(split(how, "\u4e2d\u6587\uff0cok") == Words{"\u4e2d\u6587", "\uff0cok"});
}

TEST_CASE("SmolLM and StarCoder cut digits off before GPT-2's pattern") {
    const auto how = PreTokenizer::digits_gpt2;
    CHECK(split(how, "in 1984,") == Words{"in", " ", "1", "9", "8", "4", ","});
    CHECK(split(how, "'s9's") == Words{"'s", "9", "'s"});
    CHECK(split(how, "a  7") == Words{"a", "  ", "7"});
}

TEST_CASE("Falcon cuts punctuation off first and three digits last") {
    const auto how = PreTokenizer::falcon;
    CHECK(split(how, "don't `x` 12345") ==
          Words{"don", "'", "t", " ", "`", "x", "`", " ", "123", "45"});
    CHECK(split(how, "a+=b") == Words{"a", "+=", "b"});
}

TEST_CASE("files without a name for the way of cutting get the old default") {
    const auto how = PreTokenizer::fallback;
    CHECK(split(how, "a`b 1234") == Words{"a", "`", "b", " ", "123", "4"});
    CHECK(split(how, "x^2") == Words{"x", "^", "2"});
}

TEST_CASE("DeepSeek LLM cuts at line ends, cased letters, wide punctuation and CJK") {
    const auto how = PreTokenizer::deepseek_llm;
    CHECK(split(how, "Ab \u00e9\n\nx") == Words{"Ab", " \u00e9", "\n", "\n", "x"});
    CHECK(split(how, "a \u4e2d\u6587\u3002b 12  ") ==
          Words{"a", " ", "\u4e2d\u6587", "\u3002", "b", " ", "12", "  "});
    CHECK(split(how, "x\u3000\u3000y") == Words{"x", "\u3000", "\u3000", "y"});
}

TEST_CASE("DeepSeek Coder cuts at line ends, letters, punctuation and single digits") {
    const auto how = PreTokenizer::deepseek_coder;
    CHECK(split(how, "int x1 = 42;\r\n") ==
          Words{"int", " x", "1", " = ", "4", "2", ";", "\r", "\n"});
    CHECK(split(how, "\u4e2d\u6587 ok") == Words{"\u4e2d\u6587", " ok"});
}

TEST_CASE("the words of any bytes together are these bytes") {
    CounterRandom random(testing::seed(7));
    constexpr std::string_view kPieces[] = {"a",
                                            "Z",
                                            "'s",
                                            "'LL",
                                            " ",
                                            "  ",
                                            "\n",
                                            "\r\n",
                                            "\t",
                                            "1",
                                            "23",
                                            "!",
                                            "\u00e9",
                                            "\u4e2d",
                                            "\u3000",
                                            "\U0001f642",
                                            "\xff",
                                            "\xe4\xb8",
                                            std::string_view("\0", 1),
                                            "'",
                                            "\u0301",
                                            "`"};
    for (int round = 0; round < 200; ++round) {
        std::string text;
        for (std::uint64_t left = random.next() % 30; left > 0; --left)
            text += kPieces[random.next() % std::size(kPieces)];
        CAPTURE(text);
        for (const PreTokenizer how : kAll) {
            std::string joined;
            split_words(how, text, [&](std::string_view word) {
                CHECK_FALSE(word.empty());
                joined += word;
            });
            CHECK(joined == text);
        }
    }
}

TEST_CASE("a byte that is not UTF-8 is one character of no class") {
    CHECK(split(PreTokenizer::gpt2, "a\xff\xfe z") == Words{"a", "\xff\xfe", " z"});
    CHECK(split(PreTokenizer::gpt2, "a \xe4\xb8") == Words{"a", " \xe4\xb8"});
}

TEST_CASE("long runs of one kind are cut in linear time") {
    constexpr std::size_t kSize = std::size_t{1} << 19;
    for (const char letter : {'a', ' ', '\n', '7', '.', '\''}) {
        std::string text(kSize, letter);
        text += letter == '7' ? 'x' : '7';
        CAPTURE(letter);
        for (const PreTokenizer how : kAll) {
            std::size_t size = 0;
            split_words(how, text, [&](std::string_view word) { size += word.size(); });
            CHECK(size == text.size());
        }
    }
}

TEST_CASE("names of ways of cutting are known, others are not") {
    CHECK(pre_tokenizer_named("smollm") == PreTokenizer::digits_gpt2);
    CHECK(pre_tokenizer_named("llama-bpe") == PreTokenizer::llama3);
    CHECK(pre_tokenizer_named("deepseek-r1-qwen") == PreTokenizer::qwen2);
    CHECK(pre_tokenizer_named("default") == PreTokenizer::fallback);
    CHECK_FALSE(pre_tokenizer_named("tekken"));
    CHECK_FALSE(pre_tokenizer_named(""));
    CHECK(is_llama3_family("falcon3"));
    CHECK_FALSE(is_llama3_family("dbrx"));
}

}  // namespace kwaai::inference
