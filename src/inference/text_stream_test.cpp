#include "inference/text_stream.hpp"

#include <algorithm>

#include "base/random.hpp"
#include "base/utf8.hpp"
#include "inference/test_vocabularies.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::inference {
namespace {

// Feeds bytes as tokens of small_bpe, one by one.
std::string push_bytes(TextStream& stream, std::string_view bytes) {
    std::string text;
    for (const char byte : bytes)
        text += stream.push(static_cast<unsigned char>(byte));
    return text;
}

// `text` up to the stop string that is complete first.
std::string cut_at_stop(std::string_view text, const std::vector<std::string>& stops) {
    for (std::size_t end = 0; end <= text.size(); ++end) {
        std::size_t longest = 0;
        for (const std::string& stop : stops)
            if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
        if (longest > 0) return std::string(text.substr(0, end - longest));
    }
    return std::string(text);
}

}  // namespace

TEST_CASE("characters come out whole") {
    const Tokenizer tokenizer = tokenizer_of(small_bpe_file());
    TextStream stream(tokenizer, {});
    CHECK(stream.push('a') == "a");
    CHECK(stream.push(0xF0).empty());
    CHECK(stream.push(0x9F).empty());
    CHECK(stream.push(0x99).empty());
    CHECK(stream.push(0x82) == "\U0001f642");
    CHECK(stream.push(0xC3).empty());
    CHECK(stream.push('b') == "\ufffdb");
    CHECK(stream.push(0xC3).empty());
    CHECK(stream.finish() == "\ufffd");
    CHECK(stream.finish().empty());
}

TEST_CASE("a stop string ends the text before it, and nothing of it leaks") {
    const Tokenizer tokenizer = tokenizer_of(small_bpe_file());
    TextStream stream(tokenizer, {"END", "", "."});
    CHECK(push_bytes(stream, "abE") == "ab");
    CHECK(push_bytes(stream, "N") == "");
    CHECK(push_bytes(stream, "x") == "ENx");
    CHECK_FALSE(stream.is_stopped());
    CHECK(push_bytes(stream, "EEND") == "E");
    CHECK(stream.is_stopped());
    CHECK(push_bytes(stream, "more").empty());
    CHECK(stream.finish().empty());
}

TEST_CASE("what looked like a stop comes out at the end") {
    const Tokenizer tokenizer = tokenizer_of(small_bpe_file());
    TextStream stream(tokenizer, {"\n\nUser:"});
    CHECK(push_bytes(stream, "ok\n\nUs") == "ok");
    CHECK(stream.finish() == "\n\nUs");
}

TEST_CASE("a stop inside of one token ends the text there") {
    const Tokenizer tokenizer = tokenizer_of(small_bpe_file());
    TextStream stream(tokenizer, {"wor"});
    CHECK(stream.push(259) == "hello");
    CHECK(stream.push(264) == " ");
    CHECK(stream.is_stopped());
}

TEST_CASE("the space that SentencePiece adds is dropped at the beginning only") {
    const Tokenizer tokenizer = tokenizer_of(small_spm_file());
    TextStream beginning(tokenizer, {});
    CHECK(beginning.push(1).empty());
    CHECK(beginning.push(271) == "hello");
    CHECK(beginning.push(276) == " world");
    TextStream continuation(tokenizer, {}, TextStart::continuation);
    CHECK(continuation.push(276) == " world");
}

TEST_CASE("all that comes out is what decoding gives, up to a stop") {
    CounterRandom random(testing::seed(13));
    for (const ModelFile& file : {small_spm_file(), small_bpe_file()}) {
        const Tokenizer tokenizer = tokenizer_of(file);
        for (int round = 0; round < 1000; ++round) {
            std::vector<TokenId> tokens(random.next() % 24);
            for (TokenId& token : tokens)
                token = static_cast<TokenId>(random.next() % 4 == 0 ? random.next() % 256
                                                                    : 256 + random.next() % 30);
            std::vector<std::string> stops;
            for (const char* stop : {"hello", "lo w", "aa", "\u00e9", " wo", "l"})
                if (random.next() % 6 == 0) stops.emplace_back(stop);
            TextStream stream(tokenizer, stops);
            std::string text;
            for (const TokenId token : tokens)
                text += stream.push(token);
            text += stream.finish();
            const std::string whole = tokenizer.decode(tokens);
            CAPTURE(whole);
            CHECK(text == replace_invalid_utf8(cut_at_stop(whole, stops)));
            CHECK(stream.is_stopped() == (cut_at_stop(whole, stops).size() < whole.size()));
        }
    }
}

}  // namespace kwaai::inference
