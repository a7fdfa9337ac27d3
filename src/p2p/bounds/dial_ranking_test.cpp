#include "p2p/bounds/dial_ranking.hpp"

#include <string>

#include <doctest/doctest.h>

#include "p2p/bounds/black_hole.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

Multiaddr parse(const std::string& text) {
    return Multiaddr::parse(text).value();
}

std::vector<RankedAddress> rank(const std::vector<std::string>& texts) {
    std::vector<Multiaddr> addresses;
    for (const std::string& text : texts)
        addresses.push_back(parse(text));
    return rank_addresses(std::move(addresses), Limits());
}

TEST_CASE("near addresses are dialled first, then public ones of both families, then relays") {
    const std::string relay =
        "/ip4/203.0.113.9/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/"
        "p2p-circuit";
    const auto ranked = rank({relay,
                              "/ip4/203.0.113.1/tcp/1/ws",
                              "/ip4/203.0.113.1/tcp/1",
                              "/ip4/203.0.113.2/tcp/1",
                              "/ip6/2001:db8::1/tcp/1",
                              "/ip4/192.168.1.2/tcp/1",
                              "/ip4/127.0.0.1/tcp/1"});
    const std::vector<RankedAddress> expected{
        {.address = parse("/ip4/127.0.0.1/tcp/1"), .delay = 0ms},
        {.address = parse("/ip4/192.168.1.2/tcp/1"), .delay = 30ms},
        {.address = parse("/ip4/203.0.113.1/tcp/1"), .delay = 60ms},
        {.address = parse("/ip6/2001:db8::1/tcp/1"), .delay = 310ms},
        {.address = parse("/ip4/203.0.113.2/tcp/1"), .delay = 560ms},
        {.address = parse("/ip4/203.0.113.1/tcp/1/ws"), .delay = 810ms},
        {.address = parse(relay), .delay = 1060ms},
    };
    CHECK(ranked == expected);
}

TEST_CASE("QUIC is dialled before TCP where it is far, behind it where it is near") {
    const auto ranked = rank({"/ip4/203.0.113.1/tcp/1/ws",
                              "/ip4/203.0.113.1/tcp/1",
                              "/ip4/203.0.113.1/udp/1/quic-v1",
                              "/ip4/127.0.0.1/udp/1/quic-v1",
                              "/ip4/127.0.0.1/tcp/1"});
    const std::vector<RankedAddress> expected{
        {.address = parse("/ip4/127.0.0.1/tcp/1"), .delay = 0ms},
        {.address = parse("/ip4/127.0.0.1/udp/1/quic-v1"), .delay = 30ms},
        {.address = parse("/ip4/203.0.113.1/udp/1/quic-v1"), .delay = 60ms},
        {.address = parse("/ip4/203.0.113.1/tcp/1"), .delay = 310ms},
        {.address = parse("/ip4/203.0.113.1/tcp/1/ws"), .delay = 560ms},
    };
    CHECK(ranked == expected);
}

TEST_CASE("a relay begins half a second behind a direct address, at once where there is none") {
    const std::string circuit =
        "/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit";
    const auto behind = rank({"/ip4/203.0.113.1/tcp/1", "/ip4/203.0.113.9/tcp/1" + circuit});
    REQUIRE(behind.size() == 2);
    CHECK(behind[1].delay == 500ms);
    const auto alone =
        rank({"/ip4/203.0.113.8/tcp/1" + circuit, "/ip4/203.0.113.9/tcp/1" + circuit});
    REQUIRE(alone.size() == 2);
    CHECK(alone[0].delay == 0ms);
    CHECK(alone[1].delay == 250ms);
}

TEST_CASE("what hardly ever works is tried only now and then, until it works again") {
    const Limits limits;
    BlackHoleDetector detector(limits);
    for (std::size_t i = 0; i < limits.black_hole_window; ++i) {
        CHECK(detector.may_dial());
        detector.dialled(i < limits.black_hole_successes_min - 1);
    }
    CHECK(detector.is_black_hole());
    std::size_t made = 0;
    for (std::size_t i = 0; i < 3 * limits.black_hole_window; ++i)
        if (detector.may_dial()) ++made;
    CHECK(made == 3);
    detector.dialled(true);
    CHECK_FALSE(detector.is_black_hole());
    CHECK(detector.may_dial());
}

TEST_CASE("a few successes in a hundred are enough, and old ones do not count") {
    const Limits limits;
    BlackHoleDetector detector(limits);
    for (std::size_t i = 0; i < limits.black_hole_window; ++i)
        detector.dialled(i < limits.black_hole_successes_min);
    CHECK_FALSE(detector.is_black_hole());
    detector.dialled(false);
    CHECK(detector.is_black_hole());
}

TEST_CASE("a dial to near addresses alone may take less time than one that leads further") {
    const Limits limits;
    const std::string near = "/ip4/192.168.1.2/tcp/1";
    CHECK(dial_limit(rank({near, "/ip6/::1/udp/1/quic-v1"}), limits) == limits.dial_local_timeout);
    CHECK(dial_limit(rank({near, "/ip4/203.0.113.1/tcp/1"}), limits) == limits.dial_total_timeout);
    CHECK(dial_limit(rank({"/dns4/example.com/tcp/1"}), limits) == limits.dial_total_timeout);
}

TEST_CASE("a node knows its own sockets, whoever is said to be there") {
    const std::vector<Multiaddr> own{parse("/ip4/198.51.100.1/tcp/4001"),
                                     parse("/ip4/0.0.0.0/udp/4001/quic-v1"),
                                     parse("/dns4/me.example/tcp/443/tls/ws")};
    const std::string other = "/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    for (const std::string& text : {"/ip4/198.51.100.1/tcp/4001" + other,
                                    std::string("/ip4/198.51.100.1/tcp/4001/ws"),
                                    std::string("/ip4/127.0.0.1/udp/4001/quic-v1"),
                                    "/dns4/me.example/tcp/443/tls/ws" + other}) {
        CAPTURE(text);
        CHECK(leads_to_any(own, parse(text)));
    }
    for (const std::string& text : {std::string("/ip4/198.51.100.1/tcp/4002"),
                                    std::string("/ip4/198.51.100.2/tcp/4001"),
                                    std::string("/ip4/127.0.0.1/tcp/4001"),
                                    std::string("/ip6/::1/udp/4001/quic-v1"),
                                    "/ip4/198.51.100.1/tcp/4001" + other + "/p2p-circuit"}) {
        CAPTURE(text);
        CHECK_FALSE(leads_to_any(own, parse(text)));
    }
}

}  // namespace
}  // namespace kwaai::p2p
