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
