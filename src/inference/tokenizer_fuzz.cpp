// Any text through both kinds of tokenizer: byte-level BPE gives it back; a stream gives what
// decoding gives.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "base/utf8.hpp"
#include "inference/pre_tokenizer.hpp"
#include "inference/test_vocabularies.hpp"
#include "inference/text_stream.hpp"

namespace {

using namespace kwaai::inference;

void check_stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
    TextStream stream(tokenizer, {});
    std::string text;
    for (const TokenId id : ids)
        text += stream.push(id);
    text += stream.finish();
    KWAAI_CHECK(text == kwaai::replace_invalid_utf8(tokenizer.decode(ids)),
                "a stream gives what decoding gives");
}

void check_split(PreTokenizer how, std::string_view text) {
    std::size_t at = 0;
    split_words(how, text, [&](std::string_view word) {
        KWAAI_CHECK(!word.empty() && word == text.substr(at, word.size()), "words are the text");
        at += word.size();
    });
    KWAAI_CHECK(at == text.size(), "no byte is lost");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Tokenizer bpe = tokenizer_of(small_bpe_file());
    static const Tokenizer spm = tokenizer_of(small_spm_file());
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const bool parse_special : {false, true}) {
        const auto ids = bpe.encode(text, {.parse_special = parse_special});
        KWAAI_CHECK(bpe.decode(ids, true) == text, "byte-level BPE loses nothing");
        check_stream(bpe, ids);
        check_stream(spm, spm.encode(text, {.parse_special = parse_special}));
    }
    for (const PreTokenizer how : {PreTokenizer::gpt2,
                                   PreTokenizer::llama3,
                                   PreTokenizer::qwen2,
                                   PreTokenizer::digits_gpt2,
                                   PreTokenizer::falcon,
                                   PreTokenizer::deepseek_llm,
                                   PreTokenizer::deepseek_coder,
                                   PreTokenizer::fallback})
        check_split(how, text);
    return 0;
}
