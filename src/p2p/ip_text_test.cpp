#include "p2p/ip_text.hpp"

#include <utility>
#include <vector>

#include <doctest/doctest.h>

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

/// The address written again after reading; "none" where it does not read.
std::string written_again(std::string_view text) {
    if (const auto ip4 = parse_ip4(text)) return ip4_text(*ip4);
    if (const auto ip6 = parse_ip6(text)) return ip6_text(*ip6);
    return "none";
}

}  // namespace

TEST_CASE("IPv4 addresses read and are written") {
    for (const std::string_view text : {"0.0.0.0", "127.0.0.1", "255.255.255.255", "10.1.20.3"})
        CHECK(written_again(text) == text);
}

TEST_CASE("IPv4 addresses of another form do not read") {
    for (const std::string_view text : {"",
                                        ".",
                                        "1.2.3",
                                        "1.2.3.",
                                        "1.2.3.4.",
                                        "1.2.3.4.5",
                                        "256.0.0.1",
                                        "01.2.3.4",
                                        "1..2.3",
                                        "1.2.3.4 ",
                                        "+1.2.3.4",
                                        "-1.2.3.4",
                                        "1.2.3.0x4",
                                        "1.2.3.0004"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_ip4(text));
    }
}

TEST_CASE("IPv6 addresses are written as RFC 5952 asks") {
    const std::vector<std::pair<std::string_view, std::string_view>> texts = {
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"2001:0db8::0001", "2001:db8::1"},
        {"2001:DB8::A", "2001:db8::a"},
        {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {"::ffff:c000:201", "::ffff:192.0.2.1"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"fe80::", "fe80::"}};
    for (const auto& [text, canonical] : texts) {
        CAPTURE(text);
        CHECK(written_again(text) == canonical);
        CHECK(written_again(canonical) == canonical);
    }
}

TEST_CASE("IPv6 addresses of another form do not read") {
    for (const std::string_view text : {"",
                                        ":",
                                        ":::",
                                        "1",
                                        "1:2:3:4:5:6:7",
                                        "1:2:3:4:5:6:7:8:9",
                                        "1::2::3",
                                        ":1::2",
                                        "1::2:",
                                        "1:2:3:4:5:6:7:8::",
                                        "::1:2:3:4:5:6:7:8",
                                        "1:2:3:4::5:6:7:8",
                                        "12345::",
                                        "g::",
                                        "::1.2.3",
                                        "::1.2.3.4.5",
                                        "1.2.3.4::",
                                        "::1.2.3.4:5",
                                        "1:2:3:4:5:6:7:1.2.3.4",
                                        "fe80::1%eth0",
                                        "::-1",
                                        "[::1]",
                                        " ::1"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_ip6(text));
    }
}
