#include "codec/multibase.hpp"

#include <array>
#include <utility>

#include "testing/fixtures.hpp"

using namespace kwaai;
using namespace kwaai::codec;

namespace {

std::optional<Base> base_of(std::string_view name) {
    constexpr std::array<std::pair<std::string_view, Base>, 6> kNames = {
        {{"base16", Base::base16},
         {"base32", Base::base32},
         {"base36", Base::base36},
         {"base58btc", Base::base58},
         {"base64", Base::base64},
         {"base64url", Base::base64url}}};
    for (const auto& [own, base] : kNames) {
        if (own == name) return base;
    }
    return std::nullopt;
}

bool is_read_only(std::string_view name) {
    return name == "base16upper" || name == "base32upper" || name == "base36upper" ||
           name == "base64pad" || name == "base64urlpad";
}

struct Line {
    std::string name;
    std::string text;
};

/// The lines `name, "text"` of a table of multibase's tests; the first has the plain text.
std::vector<Line> read_table(const std::string& path) {
    std::vector<Line> lines;
    const std::string table = testing::read_text(path);
    for (std::size_t at = 0; at < table.size();) {
        const std::size_t end = std::min(table.find('\n', at), table.size());
        const std::string_view line = std::string_view(table).substr(at, end - at);
        at = end + 1;
        const std::size_t comma = line.find(", \"");
        if (comma == std::string_view::npos || !line.ends_with('"')) continue;
        lines.push_back({std::string(line.substr(0, comma)),
                         std::string(line.substr(comma + 3, line.size() - comma - 4))});
    }
    return lines;
}

void check_table(const std::string& path, std::string_view plain, bool is_canonical) {
    int checked = 0;
    for (const auto& [name, text] : read_table(path)) {
        const auto base = base_of(name);
        if (!base && !is_read_only(name)) continue;
        CAPTURE(name);
        const auto decoded = decode_multibase(text);
        REQUIRE(decoded);
        CHECK(as_text(*decoded) == plain);
        if (base && is_canonical) CHECK(encode_multibase(*base, as_bytes(plain)) == text);
        ++checked;
    }
    CHECK(checked >= 6);
}

}  // namespace

TEST_CASE("the tables of multibase's own tests hold") {
    using namespace std::string_view_literals;
    KWAAI_FIXTURE(basic, "libp2p/multibase/basic.csv");
    KWAAI_FIXTURE(one_zero, "libp2p/multibase/leading_zero.csv");
    KWAAI_FIXTURE(two_zeros, "libp2p/multibase/two_leading_zeros.csv");
    KWAAI_FIXTURE(mixed_case, "libp2p/multibase/case_insensitivity.csv");
    check_table(basic, "yes mani !", true);
    check_table(one_zero, "\0yes mani !"sv, true);
    check_table(two_zeros, "\0\0yes mani !"sv, true);
    check_table(mixed_case, "hello world", false);
}

TEST_CASE("every length of bytes reads back from every base") {
    for (const Base base :
         {Base::base16, Base::base32, Base::base36, Base::base58, Base::base64, Base::base64url}) {
        Buffer bytes;
        for (int size = 0; size < 70; ++size) {
            const auto again = decode_base(base, encode_base(base, bytes));
            REQUIRE(again);
            CHECK(*again == bytes);
            bytes.push_back(static_cast<std::byte>(size * 37));
        }
    }
}

TEST_CASE("leading zeros are kept in base36 and base58") {
    for (const Base base : {Base::base36, Base::base58}) {
        for (const std::size_t size : {1u, 2u, 40u}) {
            const Buffer zeros(size);
            const std::string text = encode_base(base, zeros);
            CHECK(text.size() == size);
            CHECK(*decode_base(base, text) == zeros);
        }
    }
}

TEST_CASE("the longest values of base36 and base58 read back") {
    const Buffer bytes(1024, std::byte{0xff});
    for (const Base base : {Base::base36, Base::base58})
        CHECK(*decode_base(base, encode_base(base, bytes)) == bytes);
}

TEST_CASE("the first wrong character is named with its place") {
    const std::vector<std::pair<Base, std::string_view>> texts = {{Base::base16, "0g"},
                                                                  {Base::base32, "a1"},
                                                                  {Base::base36, "k-"},
                                                                  {Base::base58, "z0"},
                                                                  {Base::base58, "1I"},
                                                                  {Base::base58, "1O"},
                                                                  {Base::base58, "1l"},
                                                                  {Base::base64, "A-"},
                                                                  {Base::base64url, "A+"},
                                                                  {Base::base64, "A="}};
    for (const auto& [base, text] : texts) {
        CAPTURE(text);
        const auto bytes = decode_base(base, text);
        REQUIRE_FALSE(bytes);
        CHECK(bytes.error().code == Errc::malformed);
        CHECK(bytes.error().context.find(std::string("'") + text[1] + "', at 1") !=
              std::string::npos);
    }
}

TEST_CASE("a character that cannot be shown is named by its number") {
    CHECK(decode_base(Base::base16, "0\n").error().context.find("byte 10") != std::string::npos);
}

TEST_CASE("text whose last digit says more than whole bytes is malformed") {
    const std::vector<std::pair<Base, std::string_view>> texts = {{Base::base16, "0"},
                                                                  {Base::base32, "a"},
                                                                  {Base::base32, "aaa"},
                                                                  {Base::base32, "ab"},
                                                                  {Base::base64, "A"},
                                                                  {Base::base64, "AB"},
                                                                  {Base::base64url, "AAB"}};
    for (const auto& [base, text] : texts) {
        CAPTURE(text);
        CHECK(decode_base(base, text).error().code == Errc::malformed);
    }
}

TEST_CASE("padding is read where its prefix asks for it, and must be right") {
    CHECK(decode_multibase("MeWVzIG1hbmkgIQ=="));
    for (const std::string_view text : {"MeWVzIG1hbmkgIQ",
                                        "MeWVzIG1hbmkgIQ=",
                                        "MeWVzIG1hbmkgIQ===",
                                        "MA===",
                                        "M====",
                                        "meWVzIG1hbmkgIQ=="}) {
        CAPTURE(text);
        CHECK(decode_multibase(text).error().code == Errc::malformed);
    }
}

TEST_CASE("other prefixes are unsupported, and no prefix is malformed") {
    CHECK(decode_multibase("7362").error().code == Errc::unsupported);
    CHECK(decode_multibase("").error().code == Errc::malformed);
    CHECK(decode_multibase("z")->empty());
}

TEST_CASE("more than 4096 characters are not read") {
    const std::string text(4097, '1');
    for (const Base base : {Base::base16, Base::base58, Base::base64})
        CHECK(decode_base(base, text).error().code == Errc::limit_exceeded);
    CHECK(decode_base(Base::base58, std::string(4096, 'z')));
}
