// What a request may look like, and what is turned away before a handler sees it.
#include "http/parser.hpp"

#include <string>

#include <doctest/doctest.h>

using namespace kwaai;
using http::ParserLimits;
using http::RequestParser;
using http::ResponseParser;

namespace {

constexpr ParserLimits kLimits{.header_bytes_max = 512, .body_bytes_max = 64};

// The status of the rejection, 0 for none.
int status_of(std::string_view text) {
    RequestParser parser(kLimits);
    const auto taken = parser.put(as_bytes(text));
    return taken ? 0 : taken.error().status;
}

http::Request parse(std::string_view text) {
    RequestParser parser(kLimits);
    const auto taken = parser.put(as_bytes(text));
    REQUIRE(taken.has_value());
    REQUIRE(parser.is_done());
    CHECK(*taken == text.size());
    return parser.take();
}

}  // namespace

TEST_CASE("a request is split into method, path, query, headers and body") {
    const http::Request request = parse(
        "POST /v1/models?limit=2&a=b HTTP/1.1\r\nHost: here\r\nX-One: 1\r\nx-one: 2\r\n"
        "Content-Length: 4\r\n\r\nbody");
    CHECK(request.method == "POST");
    CHECK(request.path == "/v1/models");
    CHECK(request.query == "limit=2&a=b");
    CHECK(request.headers.find("HOST") == "here");
    CHECK(request.headers.find("x-One") == "1");
    CHECK(request.headers.count("X-ONE") == 2);
    CHECK(!request.headers.find("x-two").has_value());
    CHECK(request.body == "body");
    CHECK(request.wants_keep_alive());
}

TEST_CASE("a chunked body is put together, and fields of its trailer do not become headers") {
    const http::Request request = parse(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nAuthorization: smuggled\r\n\r\n");
    CHECK(request.body == "abcde");
    CHECK(!request.headers.find("authorization").has_value());
}

TEST_CASE("a request cut at any byte gives the same result") {
    const std::string text =
        "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
        CAPTURE(cut);
        RequestParser parser(kLimits);
        const auto first = parser.put(as_bytes(std::string_view(text).substr(0, cut)));
        REQUIRE(first.has_value());
        CHECK(!parser.is_done());
        const auto second = parser.put(as_bytes(std::string_view(text).substr(*first)));
        REQUIRE(second.has_value());
        REQUIRE(parser.is_done());
        CHECK(parser.take().body == "abcd");
    }
}

TEST_CASE("bytes after a request are left for the next one") {
    RequestParser parser(kLimits);
    const std::string_view one = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    const auto taken = parser.put(as_bytes(std::string(one) + "GET /2 HTTP/1.1\r\n"));
    REQUIRE(taken.has_value());
    CHECK(*taken == one.size());
    CHECK(parser.is_done());
}

TEST_CASE("whether a connection may go on follows the version and the Connection header") {
    CHECK(!parse("GET / HTTP/1.0\r\n\r\n").wants_keep_alive());
    CHECK(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").wants_keep_alive());
    CHECK(!parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n").wants_keep_alive());
}

TEST_CASE("an absolute request target is read as its path") {
    CHECK(parse("GET http://a.b:80/p?q HTTP/1.1\r\nHost: a\r\n\r\n").path == "/p");
    CHECK(parse("GET http://a.b HTTP/1.1\r\nHost: a\r\n\r\n").path == "/");
    const http::Request request = parse("GET http://a.b?q HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(request.path == "/");
    CHECK(request.query == "q");
    CHECK(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").path == "*");
}

TEST_CASE("requests that two servers could understand differently are rejected") {
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n") == 400);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                    "Content-Length: 4\r\n\r\n") == 400);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
                    "Content-Length: 5\r\n\r\n") == 400);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 5\r\n\r\n") == 400);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\n") == 400);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\n") == 400);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n") ==
          400);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 4\r\n\r\n") == 400);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n") == 501);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n") ==
          501);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n") ==
          501);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n") == 501);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n") == 400);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n") == 400);
    CHECK(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1\nHost: a\n\n") == 400);
}

TEST_CASE("what is no HTTP/1 request is rejected") {
    CHECK(status_of("\x16\x03\x01 a TLS hello, perhaps\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/2.0\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET / FTP/1.1\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET example HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nX: a\x01z\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n") == 417);
}

TEST_CASE("headers and bodies beyond the limits are rejected, also before they have come") {
    CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(600, 'x')) == 431);
    CHECK(status_of("GET /" + std::string(600, 'x')) == 431);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65\r\n\r\n") == 413);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n") ==
          413);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "1\r\na\r\n40\r\n") == 413);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 64\r\n\r\n") == 0);
}

TEST_CASE("a response is read by length, by chunks, or to the end of the connection") {
    for (const char* text :
         {"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabc",
          "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
          "HTTP/1.0 201 Created\r\n\r\nabc"}) {
        CAPTURE(text);
        ResponseParser parser(kLimits, false, nullptr);
        const Result<std::size_t> taken = parser.put(as_bytes(text));
        REQUIRE(taken.has_value());
        REQUIRE(parser.put_end().has_value());
        REQUIRE(parser.is_done());
        const http::Response response = parser.take();
        CHECK(response.status == 201);
        CHECK(response.body == "abc");
    }
}

TEST_CASE("a response that breaks off is an error") {
    for (const char* text : {"",
                             "HTTP/1.1 200",
                             "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"}) {
        CAPTURE(text);
        ResponseParser parser(kLimits, false, nullptr);
        const Result<std::size_t> taken = parser.put(as_bytes(text));
        REQUIRE(taken.has_value());
        const Result<> end = parser.put_end();
        REQUIRE(!end.has_value());
        CHECK(end.error().code == Errc::closed);
    }
}
