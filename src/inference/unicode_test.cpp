#include "inference/unicode.hpp"

#include <doctest/doctest.h>

namespace kwaai::inference {

TEST_CASE("code points have the classes of the Unicode standard") {
    CHECK(unicode_class('a') == kLetter);
    CHECK(unicode_class('7') == kNumber);
    CHECK(unicode_class('!') == kPunctuation);
    CHECK(unicode_class('+') == kSymbol);
    CHECK(unicode_class('\t') == kWhiteSpace);
    CHECK(unicode_class(' ') == kWhiteSpace);
    CHECK(unicode_class(0) == 0);
    CHECK(unicode_class(0x7F) == 0);
    CHECK(unicode_class(0x85) == kWhiteSpace);     // next line, a control
    CHECK(unicode_class(0xA0) == kWhiteSpace);     // no-break space
    CHECK(unicode_class(0xB2) == kNumber);         // superscript two
    CHECK(unicode_class(0xBF) == kPunctuation);    // inverted question mark
    CHECK(unicode_class(0x301) == kMark);          // combining acute accent
    CHECK(unicode_class(0x378) == 0);              // unassigned
    CHECK(unicode_class(0x416) == kLetter);        // Cyrillic
    CHECK(unicode_class(0x663) == kNumber);        // Arabic-Indic digit three
    CHECK(unicode_class(0x200D) == 0);             // zero width joiner
    CHECK(unicode_class(0x2167) == kNumber);       // Roman numeral eight
    CHECK(unicode_class(0x3000) == kWhiteSpace);   // ideographic space
    CHECK(unicode_class(0x3002) == kPunctuation);  // ideographic full stop
    CHECK(unicode_class(0x4E2D) == kLetter);       // CJK
    CHECK(unicode_class(0xE000) == 0);             // private use
    CHECK(unicode_class(0x10D4A) == kLetter);      // Garay, new in Unicode 16
    CHECK(unicode_class(0x1F642) == kSymbol);      // a smile
    CHECK(unicode_class(0x10FFFF) == 0);
    CHECK(unicode_class(0x110000) == 0);
    CHECK(unicode_class(0xFFFFFFFF) == 0);
}

TEST_CASE("the short cut for ASCII says what the table says") {
    std::size_t run = 0;
    const auto runs = unicode_runs();
    REQUIRE((runs.front() >> 8) == 0);
    for (std::uint32_t code = 0; code < 256; ++code) {
        if (run + 1 < runs.size() && runs[run + 1] >> 8 == code) ++run;
        CAPTURE(code);
        CHECK(unicode_class(code) == (runs[run] & 0xFF));
    }
}

TEST_CASE("the table is in order and its runs differ from their neighbours") {
    const auto runs = unicode_runs();
    for (std::size_t i = 1; i < runs.size(); ++i) {
        CHECK((runs[i] >> 8) > (runs[i - 1] >> 8));
        CHECK((runs[i] & 0xFF) != (runs[i - 1] & 0xFF));
    }
}

}  // namespace kwaai::inference
