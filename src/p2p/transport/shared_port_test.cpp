#include "p2p/transport/shared_port.hpp"

#include <string>

#include <doctest/doctest.h>

namespace kwaai::p2p {
namespace {

std::optional<FirstBytes> of(std::string_view text) {
    return recognise(as_bytes(text));
}

TEST_CASE("what a connection speaks shows in its first bytes, as soon as it can") {
    CHECK(of("\x13/multistream/1.0.0\n\x07/noise\n") == FirstBytes::multistream);
    CHECK(of("GET / HTTP/1.1\r\n") == FirstBytes::http);
    CHECK(of("\x16\x03\x01\x02") == FirstBytes::tls);
    for (const std::string_view text : {"", "\x13", "\x13/", "G", "GE", "GET", "\x16"})
        CHECK_FALSE(of(text).has_value());
    for (const std::string_view text :
         {"\x14", "\x13m", "\x13/n", "P", "GOT ", "GET/", "POST", "get ", "\x16\x02", "\xff"})
        CHECK(of(text) == FirstBytes::unknown);
    CHECK(recognise(std::array<std::byte, 1>{}) == FirstBytes::unknown);
}

}  // namespace
}  // namespace kwaai::p2p
