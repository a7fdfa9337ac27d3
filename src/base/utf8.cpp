#include "base/utf8.hpp"

namespace kwaai {
namespace {

// Bytes of the sequence that `first` begins, 0 where it begins none.
unsigned sequence_size(unsigned char first) {
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return 2;
    if (first >= 0xe0 && first <= 0xef) return 3;
    if (first >= 0xf0 && first <= 0xf4) return 4;
    return 0;
}

// Whether `second` may follow `first`: excludes overlong forms, surrogates and values above
// U+10FFFF.
bool is_second(unsigned char first, unsigned char second) {
    switch (first) {
        case 0xe0: return second >= 0xa0 && second <= 0xbf;
        case 0xed: return second >= 0x80 && second <= 0x9f;
        case 0xf0: return second >= 0x90 && second <= 0xbf;
        case 0xf4: return second >= 0x80 && second <= 0x8f;
        default: return (second & 0xc0) == 0x80;
    }
}

unsigned char byte_at(std::string_view text, std::size_t index) {
    return static_cast<unsigned char>(text[index]);
}

}  // namespace

Utf8Step decode_utf8(std::string_view text) {
    constexpr Utf8Step kBad{Utf8Step::kInvalid, 1};
    const unsigned char first = byte_at(text, 0);
    const unsigned size = sequence_size(first);
    if (size == 1) return {first, 1};
    if (size == 0 || text.size() < size || !is_second(first, byte_at(text, 1))) return kBad;
    std::uint32_t code = first & (0x7fu >> size);
    for (unsigned i = 1; i < size; ++i) {
        const unsigned char next = byte_at(text, i);
        if ((next & 0xc0) != 0x80) return kBad;
        code = code << 6 | (next & 0x3fu);
    }
    return {code, size};
}

void append_utf8(std::string& out, std::uint32_t code) {
    const auto put = [&](std::uint32_t byte) {
        out.push_back(static_cast<char>(byte));
    };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xc0 | code >> 6);
        put(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        put(0xe0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3f));
        put(0x80 | (code & 0x3f));
    } else {
        put(0xf0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3f));
        put(0x80 | (code >> 6 & 0x3f));
        put(0x80 | (code & 0x3f));
    }
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const Utf8Step step = decode_utf8(text);
        if (step.code == Utf8Step::kInvalid) return false;
        text.remove_prefix(step.size);
    }
    return true;
}

unsigned incomplete_utf8_tail(std::string_view text) {
    for (unsigned back = 1; back <= 3 && back <= text.size(); ++back) {
        const unsigned char byte = byte_at(text, text.size() - back);
        if ((byte & 0xc0) == 0x80) continue;
        if (sequence_size(byte) <= back) return 0;
        const bool plausible = back == 1 || is_second(byte, byte_at(text, text.size() - back + 1));
        return plausible ? back : 0;
    }
    return 0;
}

std::string replace_invalid_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const Utf8Step step = decode_utf8(text);
        if (step.code == Utf8Step::kInvalid)
            out += "\xef\xbf\xbd";
        else
            out += text.substr(0, step.size);
        text.remove_prefix(step.size);
    }
    return out;
}

}  // namespace kwaai
