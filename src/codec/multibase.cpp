#include "codec/multibase.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "base/check.hpp"

namespace kwaai::codec {
namespace {

constexpr std::size_t kSlowBytesMax = 1024;
constexpr std::size_t kTextMax = 4096;
constexpr std::uint8_t kNoDigit = 0xff;

/// An alphabet both ways. Where it has letters of one case only, the other case reads the same.
struct Alphabet {
    std::string_view name;
    std::string_view digits;
    std::array<std::uint8_t, 256> values{};

    consteval Alphabet(std::string_view own_name, std::string_view own_digits, bool any_case)
        : name(own_name), digits(own_digits) {
        values.fill(kNoDigit);
        for (std::size_t i = 0; i < digits.size(); ++i) {
            const char digit = digits[i];
            values[static_cast<unsigned char>(digit)] = static_cast<std::uint8_t>(i);
            if (any_case && digit >= 'a' && digit <= 'z')
                values[static_cast<unsigned char>(digit - 'a' + 'A')] =
                    static_cast<std::uint8_t>(i);
        }
    }
};

constexpr Alphabet kBase16("base16", "0123456789abcdef", true);
constexpr Alphabet kBase32("base32", "abcdefghijklmnopqrstuvwxyz234567", true);
constexpr Alphabet kBase36("base36", "0123456789abcdefghijklmnopqrstuvwxyz", true);
constexpr Alphabet kBase58("base58",
                           "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
                           false);
constexpr Alphabet kBase64("base64",
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                           false);
constexpr Alphabet kBase64Url("base64url",
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                              false);

const Alphabet& alphabet_of(Base base) {
    switch (base) {
        case Base::base16: return kBase16;
        case Base::base32: return kBase32;
        case Base::base36: return kBase36;
        case Base::base58: return kBase58;
        case Base::base64: return kBase64;
        case Base::base64url: return kBase64Url;
    }
    KWAAI_CHECK(false, "a base of ours");
    return kBase16;
}

/// Bits of a digit where bytes are cut into groups of bits; 0 where they are one large number.
unsigned bits_of(Base base) {
    switch (base) {
        case Base::base16: return 4;
        case Base::base32: return 5;
        case Base::base36:
        case Base::base58: return 0;
        case Base::base64:
        case Base::base64url: return 6;
    }
    return 0;
}

std::unexpected<Error> malformed(const Alphabet& alphabet, std::string_view problem) {
    std::string message(alphabet.name);
    return fail(Errc::malformed, message.append(" text ").append(problem));
}

std::unexpected<Error> wrong_character(const Alphabet& alphabet,
                                       std::string_view text,
                                       std::size_t at) {
    const auto code = static_cast<unsigned char>(text[at]);
    const bool is_printable = code > 0x20 && code < 0x7f;
    const std::string shown =
        is_printable ? std::string("'") + text[at] + "'" : "byte " + std::to_string(code);
    return malformed(alphabet, "has a wrong character, " + shown + ", at " + std::to_string(at));
}

std::string encode_bits(const Alphabet& alphabet, unsigned bits, Bytes bytes) {
    std::string text;
    text.reserve((bytes.size() * 8 + bits - 1) / bits);
    unsigned held = 0;
    unsigned held_bits = 0;
    const unsigned mask = (1u << bits) - 1;
    for (const std::byte byte : bytes) {
        held = (held << 8 | std::to_integer<unsigned>(byte)) & 0xffff;
        for (held_bits += 8; held_bits >= bits; held_bits -= bits)
            text.push_back(alphabet.digits[held >> (held_bits - bits) & mask]);
    }
    if (held_bits > 0) text.push_back(alphabet.digits[held << (bits - held_bits) & mask]);
    return text;
}

/// Strict: what is left of the last digit is less than a digit and zero, so that a value has one
/// text.
Result<Buffer> decode_bits(const Alphabet& alphabet, unsigned bits, std::string_view text) {
    Buffer bytes;
    bytes.reserve(text.size() * bits / 8);
    unsigned held = 0;
    unsigned held_bits = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const std::uint8_t value = alphabet.values[static_cast<unsigned char>(text[i])];
        if (value == kNoDigit) return wrong_character(alphabet, text, i);
        held = (held << bits | value) & 0xffff;
        held_bits += bits;
        if (held_bits >= 8) {
            held_bits -= 8;
            bytes.push_back(static_cast<std::byte>(held >> held_bits & 0xff));
        }
    }
    if (held_bits >= bits) return malformed(alphabet, "has an impossible length");
    if ((held & ((1u << held_bits) - 1)) != 0)
        return malformed(alphabet, "has bits behind its end");
    return bytes;
}

/// Five digits at a time: base^5 fits 32 bits.
constexpr unsigned kGroupDigits = 5;

std::uint64_t group_of(std::uint64_t base) {
    return base * base * base * base * base;
}

std::string encode_number(const Alphabet& alphabet, Bytes bytes) {
    const std::uint64_t base = alphabet.digits.size();
    const std::uint64_t group = group_of(base);
    const auto zeros = static_cast<std::size_t>(
        std::ranges::find_if(bytes, [](std::byte b) { return b != std::byte{0}; }) - bytes.begin());
    std::vector<std::uint32_t> groups;  // the low one first
    for (const std::byte byte : bytes.subspan(zeros)) {
        auto carry = std::to_integer<std::uint64_t>(byte);
        for (std::uint32_t& digit : groups) {
            const std::uint64_t value = (std::uint64_t{digit} << 8) + carry;
            digit = static_cast<std::uint32_t>(value % group);
            carry = value / group;
        }
        if (carry > 0) groups.push_back(static_cast<std::uint32_t>(carry));
    }
    std::string text;  // the low digit first, until it is turned around
    for (std::uint32_t digits : groups) {
        for (unsigned i = 0; i < kGroupDigits; ++i, digits /= static_cast<std::uint32_t>(base))
            text.push_back(alphabet.digits[digits % base]);
    }
    while (text.ends_with(alphabet.digits[0]))
        text.pop_back();
    text.append(zeros, alphabet.digits[0]);
    std::ranges::reverse(text);
    return text;
}

Result<Buffer> decode_number(const Alphabet& alphabet, std::string_view text) {
    const std::uint64_t base = alphabet.digits.size();
    const std::size_t zeros =
        std::min(text.find_first_not_of(alphabet.digits[0]), text.size());  // npos: all of them
    std::vector<std::uint32_t> limbs;                                       // the low one first
    for (std::size_t i = zeros; i < text.size(); ++i) {
        const std::uint8_t value = alphabet.values[static_cast<unsigned char>(text[i])];
        if (value == kNoDigit) return wrong_character(alphabet, text, i);
        std::uint64_t carry = value;
        for (std::uint32_t& limb : limbs) {
            const std::uint64_t product = limb * base + carry;
            limb = static_cast<std::uint32_t>(product);
            carry = product >> 32;
        }
        if (carry > 0) limbs.push_back(static_cast<std::uint32_t>(carry));
    }
    Buffer bytes;  // the low byte first, until it is turned around
    for (std::uint32_t limb : limbs) {
        for (unsigned i = 0; i < 4; ++i, limb >>= 8)
            bytes.push_back(static_cast<std::byte>(limb & 0xff));
    }
    while (!bytes.empty() && bytes.back() == std::byte{0})
        bytes.pop_back();
    bytes.insert(bytes.end(), zeros, std::byte{0});
    std::ranges::reverse(bytes);
    return bytes;
}

/// Takes off the padding of base64pad, which must be exactly what the length asks for.
Result<std::string_view> without_padding(const Alphabet& alphabet, std::string_view text) {
    if (text.size() % 4 != 0) return malformed(alphabet, "lacks padding");
    std::size_t padding = 0;
    while (padding < 2 && text.ends_with('=')) {
        text.remove_suffix(1);
        ++padding;
    }
    return text;
}

}  // namespace

std::string encode_base(Base base, Bytes bytes) {
    const Alphabet& alphabet = alphabet_of(base);
    if (const unsigned bits = bits_of(base); bits > 0) return encode_bits(alphabet, bits, bytes);
    KWAAI_CHECK(bytes.size() <= kSlowBytesMax, "base36 and base58 are for short values");
    return encode_number(alphabet, bytes);
}

Result<Buffer> decode_base(Base base, std::string_view text) {
    const Alphabet& alphabet = alphabet_of(base);
    if (text.size() > kTextMax)
        return fail(Errc::limit_exceeded,
                    std::string(alphabet.name) + " text of " + std::to_string(text.size()) +
                        " characters; at most 4096 are read");
    if (const unsigned bits = bits_of(base); bits > 0) return decode_bits(alphabet, bits, text);
    return decode_number(alphabet, text);
}

std::string encode_multibase(Base base, Bytes bytes) {
    return encode_base(base, bytes).insert(0, 1, static_cast<char>(base));
}

Result<Buffer> decode_multibase(std::string_view text) {
    if (text.empty()) return fail(Errc::malformed, "multibase text is empty");
    const std::string_view rest = text.substr(1);
    switch (text.front()) {
        case 'f':
        case 'F': return decode_base(Base::base16, rest);
        case 'b':
        case 'B': return decode_base(Base::base32, rest);
        case 'k':
        case 'K': return decode_base(Base::base36, rest);
        case 'z': return decode_base(Base::base58, rest);
        case 'm': return decode_base(Base::base64, rest);
        case 'u': return decode_base(Base::base64url, rest);
        case 'M':
        case 'U': {
            const Base base = text.front() == 'M' ? Base::base64 : Base::base64url;
            KWAAI_TRY(const std::string_view bare, without_padding(alphabet_of(base), rest));
            return decode_base(base, bare);
        }
        default:
            return fail(Errc::unsupported,
                        std::string("multibase text with the prefix '") + text.front() + "'");
    }
}

}  // namespace kwaai::codec
