#include "json/writer.hpp"

#include <limits>

#include <doctest/doctest.h>

namespace kwaai::json {

TEST_CASE("objects and arrays come out compact and in order") {
    Writer out;
    out.begin_object().member("id", "x").member("n", -7).member("on", true).key("list");
    out.begin_array().value(1U).value(nullptr).begin_object().end().begin_array().end().end();
    out.member("last", std::uint64_t{UINT64_MAX}).end();
    CHECK(out.take() ==
          R"({"id":"x","n":-7,"on":true,"list":[1,null,{},[]],"last":18446744073709551615})");
    CHECK(out.value(1).take() == "1");
}

TEST_CASE("strings are escaped no more than JSON demands") {
    CHECK(quote("a\"b\\c\n\r\t\x01\x7f/") == "\"a\\\"b\\\\c\\n\\r\\t\\u0001\x7f/\"");
    CHECK(quote("\xc3\xa9\xf0\x9f\x98\x80") == "\"\xc3\xa9\xf0\x9f\x98\x80\"");
}

TEST_CASE("invalid UTF-8 becomes the replacement character") {
    CHECK(quote("a\xff\xc3z") == "\"a\xef\xbf\xbd\xef\xbf\xbdz\"");
    Writer out;
    CHECK(out.begin_object().member("k\xff", "\xe2\x82").end().take() ==
          "{\"k\xef\xbf\xbd\":\"\xef\xbf\xbd\xef\xbf\xbd\"}");
}

TEST_CASE("numbers read back the same and non-finite ones become null") {
    Writer out;
    out.begin_array().value(0.1).value(0.8F).value(1e300).value(5e-324).value(-0.5);
    out.value(std::numeric_limits<double>::infinity())
        .value(std::numeric_limits<float>::quiet_NaN());
    const std::string text = out.end().take();
    CHECK(text == "[0.1,0.8,1e+300,5e-324,-0.5,null,null]");
    CHECK(parse(text).has_value());
}

TEST_CASE("a parsed value is copied as it was") {
    const std::string text = R"({"a":[1,-2,2.5,18446744073709551615,"x",null,true],"b":{"c":[]}})";
    const auto document = parse(text);
    REQUIRE(document.has_value());
    Writer out;
    CHECK(out.value(document->root()).take() == text);
}

}  // namespace kwaai::json
