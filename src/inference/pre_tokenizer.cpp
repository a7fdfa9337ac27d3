#include "inference/pre_tokenizer.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "base/utf8.hpp"
#include "inference/unicode.hpp"

namespace kwaai::inference {
namespace {

struct NamedPreTokenizer {
    std::string_view name;
    PreTokenizer how;
};

constexpr NamedPreTokenizer kNames[] = {
    {"llama-bpe", PreTokenizer::llama3},
    {"llama3", PreTokenizer::llama3},
    {"llama-v3", PreTokenizer::llama3},
    {"falcon3", PreTokenizer::llama3},
    {"dbrx", PreTokenizer::llama3},
    {"smaug-bpe", PreTokenizer::llama3},
    {"chatglm-bpe", PreTokenizer::llama3},
    {"qwen2", PreTokenizer::qwen2},
    {"deepseek-r1-qwen", PreTokenizer::qwen2},
    {"megrez", PreTokenizer::qwen2},
    {"stablelm2", PreTokenizer::qwen2},
    {"gpt-2", PreTokenizer::gpt2},
    {"phi-2", PreTokenizer::gpt2},
    {"mpt", PreTokenizer::gpt2},
    {"olmo", PreTokenizer::gpt2},
    {"jais", PreTokenizer::gpt2},
    {"gigachat", PreTokenizer::gpt2},
    {"jina-v1-en", PreTokenizer::gpt2},
    {"jina-v2-code", PreTokenizer::gpt2},
    {"jina-v2-es", PreTokenizer::gpt2},
    {"jina-v2-de", PreTokenizer::gpt2},
    {"jina-es", PreTokenizer::gpt2},
    {"jina-de", PreTokenizer::gpt2},
    {"roberta-bpe", PreTokenizer::gpt2},
    {"smollm", PreTokenizer::digits_gpt2},
    {"starcoder", PreTokenizer::digits_gpt2},
    {"refact", PreTokenizer::digits_gpt2},
    {"command-r", PreTokenizer::digits_gpt2},
    {"codeshell", PreTokenizer::digits_gpt2},
    {"exaone", PreTokenizer::digits_gpt2},
    {"minerva-7b", PreTokenizer::digits_gpt2},
    {"falcon", PreTokenizer::falcon},
    {"deepseek-llm", PreTokenizer::deepseek_llm},
    {"deepseek-coder", PreTokenizer::deepseek_coder},
    {"default", PreTokenizer::fallback},
};

constexpr UnicodeClass kEnd = 0x80;  // the class of a position past the end

// Code points with their classes: a text, or a piece of it that an earlier stage cut. Patterns see
// nothing beyond it.
struct Piece {
    std::span<const std::uint32_t> codes;
    std::span<const UnicodeClass> classes;

    [[nodiscard]] std::size_t size() const { return codes.size(); }

    [[nodiscard]] UnicodeClass class_at(std::size_t at) const {
        return at < classes.size() ? classes[at] : kEnd;
    }

    // Not a code point past the end.
    [[nodiscard]] std::uint32_t code_at(std::size_t at) const {
        return at < codes.size() ? codes[at] : 0xFFFFFFFFu;
    }

    [[nodiscard]] Piece part(std::size_t begin, std::size_t end) const {
        return {codes.subspan(begin, end - begin), classes.subspan(begin, end - begin)};
    }
};

// A matcher takes a piece and a position inside it, and returns where its match there ends: the
// position itself where there is none.

bool is_line_end(std::uint32_t code) {
    return code == '\r' || code == '\n';
}

// [^\s\p{L}\p{N}]
bool is_other(UnicodeClass value) {
    return (value & (kLetter | kNumber | kWhiteSpace | kEnd)) == 0;
}

std::size_t run_of(const Piece& piece,
                   std::size_t at,
                   UnicodeClass wanted,
                   std::size_t size_max = std::string_view::npos) {
    while (size_max > 0 && (piece.class_at(at) & wanted)) {
        ++at;
        --size_max;
    }
    return at;
}

std::size_t run_of_other(const Piece& piece, std::size_t at) {
    while (is_other(piece.class_at(at)))
        ++at;
    return at;
}

// Case folding as far as the contractions need it: U+017F is the long s.
std::uint32_t fold(std::uint32_t code) {
    if (code >= 'A' && code <= 'Z') return code + ('a' - 'A');
    return code == 0x17F ? std::uint32_t{'s'} : code;
}

// 's|'t|'re|'ve|'m|'ll|'d
std::size_t contraction(const Piece& piece, std::size_t at, bool ignore_case) {
    if (piece.code_at(at) != '\'') return at;
    const auto letter = [&](std::size_t where) {
        const std::uint32_t code = piece.code_at(where);
        return ignore_case ? fold(code) : code;
    };
    const std::uint32_t first = letter(at + 1);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
    const std::uint32_t second = letter(at + 2);
    const bool is_long = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                         (first == 'l' && second == 'l');
    return is_long ? at + 3 : at;
}

// \s+(?!\S)|\s+ at a white space: a run gives its last character to the word that follows.
std::size_t white_space(const Piece& piece, std::size_t at) {
    const std::size_t end = run_of(piece, at, kWhiteSpace);
    return end < piece.size() && end - at > 1 ? end - 1 : end;
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t match_gpt2(const Piece& piece, std::size_t at) {
    if (const std::size_t end = contraction(piece, at, false); end > at) return end;
    const std::size_t start = at + (piece.code_at(at) == ' ' ? 1 : 0);
    const UnicodeClass first = piece.class_at(start);
    if (first & kLetter) return run_of(piece, start, kLetter);
    if (first & kNumber) return run_of(piece, start, kNumber);
    if (is_other(first)) return run_of_other(piece, start);
    return white_space(piece, at);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits_max}|
//  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
std::size_t match_llama3(const Piece& piece, std::size_t at, std::size_t digits_max) {
    if (const std::size_t end = contraction(piece, at, true); end > at) return end;
    const UnicodeClass first = piece.class_at(at);
    const std::uint32_t code = piece.code_at(at);
    if (first & kLetter) return run_of(piece, at, kLetter);
    if (first & kNumber) return run_of(piece, at, kNumber, digits_max);
    if (!is_line_end(code) && (piece.class_at(at + 1) & kLetter))
        return run_of(piece, at + 1, kLetter);

    const std::size_t start = at + (code == ' ' ? 1 : 0);
    if (is_other(piece.class_at(start))) {
        std::size_t end = run_of_other(piece, start);
        while (is_line_end(piece.code_at(end)))
            ++end;
        return end;
    }

    std::size_t after_line_end = at;
    for (std::size_t end = at; piece.class_at(end) & kWhiteSpace; ++end)
        if (is_line_end(piece.code_at(end))) after_line_end = end + 1;
    return after_line_end > at ? after_line_end : white_space(piece, at);
}

std::size_t match_llama3_digits(const Piece& piece, std::size_t at) {
    return match_llama3(piece, at, 3);
}

std::size_t match_qwen2(const Piece& piece, std::size_t at) {
    return match_llama3(piece, at, 1);
}

// \p{N}
std::size_t match_number(const Piece& piece, std::size_t at) {
    return at + (piece.class_at(at) & kNumber ? 1 : 0);
}

// \p{N}+
std::size_t match_numbers(const Piece& piece, std::size_t at) {
    return run_of(piece, at, kNumber);
}

// [0-9][0-9][0-9]
std::size_t match_three_digits(const Piece& piece, std::size_t at) {
    for (std::size_t i = 0; i < 3; ++i)
        if (const std::uint32_t code = piece.code_at(at + i); code < '0' || code > '9') return at;
    return at + 3;
}

// [\r\n]
std::size_t match_line_end(const Piece& piece, std::size_t at) {
    return at + (is_line_end(piece.code_at(at)) ? 1 : 0);
}

// [\p{P}$+<=>^~|]+, with the backtick for Falcon
template <bool kWithBacktick>
std::size_t match_punctuation(const Piece& piece, std::size_t at) {
    constexpr std::u32string_view kSymbols = kWithBacktick ? U"$+<=>^~|`" : U"$+<=>^~|";
    const auto is_member = [&](std::size_t where) {
        return (piece.class_at(where) & kPunctuation) ||
               kSymbols.find(static_cast<char32_t>(piece.code_at(where))) != kSymbols.npos;
    };
    while (is_member(at))
        ++at;
    return at;
}

// \s?\p{L}+ and \s?\p{P}+
template <UnicodeClass kWanted>
std::size_t match_spaced_run(const Piece& piece, std::size_t at) {
    const std::size_t start = at + (piece.class_at(at) & kWhiteSpace ? 1 : 0);
    const std::size_t end = run_of(piece, start, kWanted);
    return end > start ? end : at;
}

struct CodeRange {
    std::uint32_t first, last;
};

// The letters of DeepSeek LLM's pattern: cased ones of scripts that have case.
constexpr CodeRange kCasedLetters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},
    {0xD8, 0xF6},       {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},
    {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x377},     {0x37B, 0x37D},
    {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},     {0x38C, 0x38C},
    {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
    {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},
    {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},
    {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},
    {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
    {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},
    {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
    {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
    {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},
    {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},
    {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
    {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};
// [!-/:-~！-／：-～‘-‟　-。]
constexpr CodeRange kWidePunctuation[] = {{0x21, 0x2F},
                                          {0x3A, 0x7E},
                                          {0x2018, 0x201F},
                                          {0x3000, 0x3002},
                                          {0xFF01, 0xFF0F},
                                          {0xFF1A, 0xFF5E}};
// [一-龥ࠀ-一가-퟿], which overlap
constexpr CodeRange kCjk[] = {{0x800, 0x9FA5}, {0xAC00, 0xD7FF}};

std::size_t run_in(std::span<const CodeRange> ranges, const Piece& piece, std::size_t at) {
    for (; at < piece.size(); ++at) {
        const std::uint32_t code = piece.code_at(at);
        const auto range = std::ranges::lower_bound(ranges, code, {}, &CodeRange::last);
        if (range == ranges.end() || code < range->first) break;
    }
    return at;
}

// \s?[letters]+ and \s?[punctuation]+ of DeepSeek LLM
std::size_t spaced_run_in(std::span<const CodeRange> ranges, const Piece& piece, std::size_t at) {
    const std::size_t start = at + (piece.class_at(at) & kWhiteSpace ? 1 : 0);
    const std::size_t end = run_in(ranges, piece, start);
    if (end > start) return end;
    return run_in(ranges, piece, at);  // U+3000 is white space and punctuation here
}

std::size_t match_cased_letters(const Piece& piece, std::size_t at) {
    return spaced_run_in(kCasedLetters, piece, at);
}

std::size_t match_wide_punctuation(const Piece& piece, std::size_t at) {
    return spaced_run_in(kWidePunctuation, piece, at);
}

std::size_t match_cjk(const Piece& piece, std::size_t at) {
    return run_in(kCjk, piece, at);
}

// A stage takes a piece and hands on the pieces it cuts it into, in order.

// Each match and each stretch between matches.
template <auto kMatch>
struct Isolate {
    void operator()(const Piece& piece, auto&& emit) const {
        std::size_t done = 0;
        for (std::size_t at = 0; at < piece.size();) {
            const std::size_t end = kMatch(piece, at);
            if (end == at) {
                ++at;
                continue;
            }
            if (at > done) emit(piece.part(done, at));
            emit(piece.part(at, end));
            done = at = end;
        }
        if (done < piece.size()) emit(piece.part(done, piece.size()));
    }
};

// \s+$: not an Isolate, which would look at a long run of spaces from each of its positions.
struct IsolateTrailingSpace {
    void operator()(const Piece& piece, auto&& emit) const {
        std::size_t end = piece.size();
        while (end > 0 && (piece.classes[end - 1] & kWhiteSpace))
            --end;
        if (end > 0) emit(piece.part(0, end));
        if (end < piece.size()) emit(piece.part(end, piece.size()));
    }
};

void run_stages(const Piece& piece, auto&& emit) {
    emit(piece);
}

template <class First, class... Rest>
void run_stages(const Piece& piece, auto&& emit, First first, Rest... rest) {
    first(piece, [&](const Piece& part) { run_stages(part, emit, rest...); });
}

void dispatch(PreTokenizer how, const Piece& text, auto&& emit) {
    constexpr Isolate<match_gpt2> kGpt2;
    switch (how) {
        case PreTokenizer::gpt2: run_stages(text, emit, kGpt2); break;
        case PreTokenizer::llama3: run_stages(text, emit, Isolate<match_llama3_digits>()); break;
        case PreTokenizer::qwen2: run_stages(text, emit, Isolate<match_qwen2>()); break;
        case PreTokenizer::digits_gpt2:
            run_stages(text, emit, Isolate<match_number>(), kGpt2);
            break;
        case PreTokenizer::falcon:
            run_stages(text,
                       emit,
                       Isolate<match_punctuation<true>>(),
                       kGpt2,
                       Isolate<match_three_digits>());
            break;
        case PreTokenizer::deepseek_llm:
            run_stages(text,
                       emit,
                       Isolate<match_line_end>(),
                       Isolate<match_cased_letters>(),
                       Isolate<match_wide_punctuation>(),
                       IsolateTrailingSpace(),
                       Isolate<match_cjk>(),
                       Isolate<match_numbers>());
            break;
        case PreTokenizer::deepseek_coder:
            run_stages(text,
                       emit,
                       Isolate<match_line_end>(),
                       Isolate<match_spaced_run<kLetter>>(),
                       Isolate<match_spaced_run<kPunctuation>>(),
                       Isolate<match_cjk>(),
                       Isolate<match_number>());
            break;
        case PreTokenizer::fallback:
            run_stages(text,
                       emit,
                       Isolate<match_punctuation<false>>(),
                       kGpt2,
                       Isolate<match_numbers>(),
                       Isolate<match_three_digits>());
            break;
    }
}

std::size_t utf8_size(std::uint32_t code) {
    if (code < 0x80 || code == Utf8Step::kInvalid) return 1;
    return code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

}  // namespace

std::optional<PreTokenizer> pre_tokenizer_named(std::string_view name) {
    const auto found = std::ranges::find(kNames, name, &NamedPreTokenizer::name);
    if (found == std::end(kNames)) return std::nullopt;
    return found->how;
}

bool is_llama3_family(std::string_view name) {
    return name == "llama-bpe" || name == "llama3" || name == "llama-v3" || name == "falcon3";
}

void split_words(PreTokenizer how,
                 std::string_view text,
                 FunctionRef<void(std::string_view word)> emit) {
    std::vector<std::uint32_t> codes;
    std::vector<UnicodeClass> classes;
    codes.reserve(text.size());
    classes.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Step step = decode_utf8(text.substr(at));
        codes.push_back(step.code);
        classes.push_back(unicode_class(step.code));
        at += step.size;
    }

    std::size_t at = 0;
    dispatch(how, Piece{codes, classes}, [&](const Piece& word) {
        std::size_t size = 0;
        for (const std::uint32_t code : word.codes)
            size += utf8_size(code);
        emit(text.substr(at, size));
        at += size;
    });
}

}  // namespace kwaai::inference
