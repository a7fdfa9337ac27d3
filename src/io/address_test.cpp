#include "io/address.hpp"

#include <doctest/doctest.h>

using namespace kwaai;

TEST_CASE("an address is read and written the way people write it") {
    for (const char* text : {"127.0.0.1:8080", "[::1]:443", "localhost:0", "0.0.0.0:65535"}) {
        CAPTURE(text);
        const Result<io::Address> address = io::parse_address(text);
        REQUIRE(address.has_value());
        CHECK(io::to_string(*address) == text);
    }
    CHECK(io::parse_address("[::1]:443")->host == "::1");
}

TEST_CASE(
    "an address without host or port, or with a port out of range, is refused with the reason") {
    for (const char* text : {"",
                             "127.0.0.1",
                             ":8080",
                             "127.0.0.1:",
                             "127.0.0.1:65536",
                             "127.0.0.1:80x",
                             "127.0.0.1:-1",
                             "::1:80"}) {
        CAPTURE(text);
        const Result<io::Address> address = io::parse_address(text);
        REQUIRE(!address.has_value());
        CHECK(address.error().code == Errc::invalid_argument);
        CHECK(address.error().context.contains("write HOST:PORT"));
    }
}
