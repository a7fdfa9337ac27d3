#include "cli/metadata_text.hpp"

#include <doctest/doctest.h>

namespace kwaai::cli {
namespace {

using inference::MetadataValue;

std::string as_json(const MetadataValue& value, const MetadataLimits& limits) {
    json::Writer out;
    write_metadata(out, value, limits);
    return out.take();
}

TEST_CASE("scalars are shown as they are") {
    CHECK(metadata_text(true, {}) == "true");
    CHECK(metadata_text(std::uint64_t{30}, {}) == "30");
    CHECK(metadata_text(std::int64_t{-1}, {}) == "-1");
    CHECK(metadata_text(std::string("llama"), {}) == "\"llama\"");
    CHECK(as_json(std::uint64_t{30}, {}) == "30");
    CHECK(as_json(std::string("llama"), {}) == "\"llama\"");
}

TEST_CASE("long arrays show their length and their first elements") {
    const std::vector<std::string> words = {"a", "b", "c"};
    const MetadataLimits two{.elements_max = 2, .text_bytes_max = 10};
    CHECK(metadata_text(words, two) == "3 of [\"a\", \"b\", …]");
    CHECK(metadata_text(words, MetadataLimits::none()) == "[\"a\", \"b\", \"c\"]");
    CHECK(as_json(words, two) == R"({"length":3,"first":["a","b"]})");
    CHECK(as_json(std::vector<std::int64_t>{1, 2}, two) == "[1,2]");
    CHECK(metadata_text(std::vector<double>{}, two) == "[]");
}

TEST_CASE("long texts are cut between characters") {
    const MetadataLimits four{.elements_max = 2, .text_bytes_max = 4};
    CHECK(metadata_text(std::string("abc€"), four) == "\"abc\"…");
    CHECK(as_json(std::string("abc€"), four) == R"({"size_bytes":6,"first":"abc"})");
}

TEST_CASE("control characters of a file do not reach the terminal") {
    const std::string shown = metadata_text(std::string("\x1b[2J\xc2\x9b"), {});
    CHECK(shown.find('\x1b') == std::string::npos);
    CHECK(shown.find("\xc2\x9b") == std::string::npos);
}

}  // namespace
}  // namespace kwaai::cli
