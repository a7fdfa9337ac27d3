#include "json/document.hpp"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/utf8.hpp"

namespace kwaai::json {
namespace {

Document parsed(std::string_view text) {
    auto document = parse(text);
    REQUIRE_MESSAGE(document.has_value(), document.error().context);
    return std::move(*document);
}

Error refused(std::string_view text, Limits limits = {}) {
    auto document = parse(text, limits);
    REQUIRE_FALSE(document.has_value());
    return document.error();
}

std::vector<Value> elements(const Value& value) {
    const auto array = value.array();
    REQUIRE(array.has_value());
    return {array->begin(), array->end()};
}

template <class T>
std::string message(const Result<T>& result) {
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == Errc::malformed);
    return result.error().context;
}

}  // namespace

TEST_CASE("values have the kinds and contents that the text says") {
    const Document document = parsed(R"({"a":null,"b":true,"c":-3,"d":18446744073709551615,)"
                                     R"("e":2.5,"f":"x\u00e9\n\u0000y","g":[1,[2],3],"h":{}})");
    const Value root = document.root();
    CHECK(root.at("a")->is_null());
    CHECK(root.at("b")->boolean().value() == true);
    CHECK(root.at("c")->integer().value() == -3);
    CHECK(root.at("d")->unsigned_integer().value() == UINT64_MAX);
    CHECK(root.at("e")->number().value() == 2.5);
    CHECK(root.at("f")->string().value() == std::string_view("x\xc3\xa9\n\0y", 6));
    CHECK(root.at("g")->array()->size() == 3);
    CHECK(root.at("h")->object()->size() == 0);
    CHECK(root.object()->size() == 8);
}

TEST_CASE("members and elements come in document order") {
    const Document document = parsed(R"({"z":[3,[],{"q":0},"s"],"a":1,"m":2})");
    std::string keys;
    const Object members = *document.root().object();
    for (const Member member : members) {
        keys += member.key;
    }
    CHECK(keys == "zam");
    std::string kinds;
    for (const Value value : elements(*document.root().at("z"))) {
        kinds += std::string(to_string(value.kind())) + ";";
    }
    CHECK(kinds == "a number;an array;an object;a string;");
}

TEST_CASE("large objects are searched by key and iterated in order") {
    std::string text = "{";
    for (int i = 999; i >= 0; --i) {
        text += "\"k" + std::to_string(i) + "\":" + std::to_string(i) + (i == 0 ? "}" : ",");
    }
    const Document document = parsed(text);
    for (int i = 0; i < 1000; ++i) {
        const auto found = document.root().find("k" + std::to_string(i));
        REQUIRE(found.has_value());
        CHECK(found->integer().value() == i);
    }
    CHECK_FALSE(document.root().find("k1000").has_value());
    CHECK_FALSE(document.root().find("").has_value());
    CHECK((*document.root().object()->begin()).key == "k999");
}

TEST_CASE("errors of getters name the place and both kinds") {
    const Document document =
        parsed(R"({"messages":[1,2,{"content":5}],"odd key":true,"x":{"y":1.5}})");
    const Value root = document.root();
    const Value third = elements(*root.at("messages"))[2];
    CHECK(message(third.at("content")->string()) ==
          "messages[2].content: expected a string, found a number");
    CHECK(message(third.at("role")) == "messages[2]: the member \"role\" is missing");
    CHECK(message(root.at("odd key")->number()) ==
          "[\"odd key\"]: expected a number, found a boolean");
    CHECK(message(root.at("x")->at("y")->unsigned_integer()) ==
          "x.y: expected an integer of at least 0");
    CHECK(message(root.array()) == "the document: expected an array, found an object");
    CHECK(message(root.at("messages")->at("0")) == "messages: expected an object, found an array");
}

TEST_CASE("integers are read exactly or refused") {
    const Document document =
        parsed("[3.0,-1,9223372036854775808,1e19,1e20,0.5,-9223372036854775808]");
    const std::vector<Value> values = elements(document.root());
    CHECK(values[0].integer().value() == 3);
    CHECK(values[0].unsigned_integer().value() == 3);
    CHECK_FALSE(values[1].unsigned_integer().has_value());
    CHECK_FALSE(values[2].integer().has_value());
    CHECK(values[2].unsigned_integer().value() == std::uint64_t{1} << 63);
    CHECK(values[3].unsigned_integer().value() == 10000000000000000000U);
    CHECK_FALSE(values[4].unsigned_integer().has_value());
    CHECK_FALSE(values[5].integer().has_value());
    CHECK(values[6].integer().value() == INT64_MIN);
}

TEST_CASE("an optional member is missing when absent or null") {
    const Document document = parsed(R"({"a":null,"b":0})");
    CHECK_FALSE(document.root().given("a").has_value());
    CHECK(document.root().find("a").has_value());
    CHECK(document.root().given("b").has_value());
    CHECK_FALSE(document.root().given("c").has_value());
    CHECK_FALSE(document.root().at("b")->find("x").has_value());
}

TEST_CASE("views stay valid when the document moves") {
    Document document = parsed(R"({"a":"short"})");
    const Value value = *document.root().at("a");
    const Document moved = std::move(document);
    CHECK(value.string().value() == "short");
    CHECK(moved.root().at("a")->string().value() == "short");
}

TEST_CASE("bad syntax is refused with its byte") {
    CHECK(refused("").code == Errc::malformed);
    CHECK(refused("{\"a\":1,}").context.starts_with("not JSON at byte 7: "));
    CHECK(refused("[1] x").context.starts_with("not JSON at byte 4: "));
    CHECK(refused("[01]").code == Errc::malformed);
    CHECK(refused("NaN").code == Errc::malformed);
    CHECK(refused("[1e999]").code == Errc::malformed);
    CHECK(refused("\"\\ud800\"").code == Errc::malformed);
    CHECK(refused(std::string_view("1\0x", 3)).context == "not JSON at byte 1: a NUL byte");
}

TEST_CASE("invalid UTF-8 is refused with its byte and a readable message") {
    for (const std::string_view text : {"\"ab\xff\"", "\"ab\xc0\x80\"", "\"ab\xed\xa0\x80\""}) {
        const Error error = refused(text);
        CHECK(error.code == Errc::malformed);
        CHECK(is_utf8(error.context));
        const bool is_near = error.context.starts_with("not JSON at byte 3: ") ||
                             error.context.starts_with("not JSON at byte 4: ");
        CHECK_MESSAGE(is_near, error.context);
    }
    CHECK(refused("\"" + std::string(5000, 'a') + "\xff\"").context.size() < 300);
}

TEST_CASE("a key that stands twice is refused in small and in large objects") {
    CHECK(refused(R"({"a":1,"b":2,"a":3})").context ==
          "JSON: the key \"a\" stands twice in one object");
    CHECK(refused(R"([{"\u0061":1,"a":3}])").code == Errc::malformed);
    std::string large = "{";
    for (int i = 0; i < 100; ++i) {
        large += "\"k" + std::to_string(i) + "\":0,";
    }
    CHECK(refused(large + "\"k7\":1}").code == Errc::malformed);
    CHECK(parsed(large + "\"k\":1}").root().object()->size() == 101);
    CHECK(parsed(R"({"a":{"a":{"a":1}}})").root().object()->size() == 1);
}

TEST_CASE("depth, size and the number of values have limits") {
    const auto nested = [](std::size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    CHECK(parse(nested(64)).has_value());
    CHECK(refused(nested(65)).code == Errc::limit_exceeded);
    CHECK(refused(std::string(1 << 20, '[')).code == Errc::limit_exceeded);
    CHECK(refused("[1,2]", {.text_bytes_max = 4}).code == Errc::limit_exceeded);
    CHECK(parse("[1,2]", {.text_bytes_max = 5}).has_value());
    CHECK(refused("{\"a\":1}", {.values_max = 2}).code == Errc::limit_exceeded);
    CHECK(parse("{\"a\":1}", {.values_max = 3}).has_value());
}

}  // namespace kwaai::json
