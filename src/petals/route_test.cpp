#include "petals/route.hpp"

#include <array>

#include <doctest/doctest.h>

#include "crypto/key.hpp"

namespace kwaai::petals {
namespace {

using namespace std::chrono_literals;

constexpr io::TimePoint kNow{1h};

p2p::PeerId make_peer(unsigned char number) {
    std::array<std::byte, 32> seed{};
    seed[0] = std::byte{number};
    return p2p::PeerId::of(crypto::PrivateKey::ed25519_from_seed(seed).public_key());
}

KnownServer make_server(unsigned char number, std::uint32_t begin, std::uint32_t end) {
    return {.peer = make_peer(number), .prefix = "m", .range = {begin, end}};
}

/// "1[0:2] 2[2:4]": who computes what.
std::string to_text(const Result<std::vector<Hop>>& hops) {
    if (!hops) return hops.error().context;
    std::string text;
    for (const Hop& hop : *hops) {
        unsigned char number = 0;
        while (!(make_peer(number) == hop.server.peer))
            ++number;
        text += (text.empty() ? "" : " ") + std::to_string(number) + "[" +
                std::to_string(hop.range.begin) + ":" + std::to_string(hop.range.end) + "]";
    }
    return text;
}

TEST_CASE("a route goes through as few servers of unknown speed as possible") {
    RouteTable table;
    table.set(make_server(1, 0, 2));
    table.set(make_server(2, 2, 4));
    table.set(make_server(3, 0, 4));
    CHECK(to_text(table.choose({0, 4}, kNow, false)) == "3[0:4]");
}

TEST_CASE("a server may be entered inside its blocks, and is left at the end of the range") {
    RouteTable table;
    table.set(make_server(1, 0, 3));
    table.set(make_server(2, 1, 6));
    CHECK(to_text(table.choose({0, 5}, kNow, false)) == "1[0:3] 2[3:5]");
    CHECK(to_text(table.choose({2, 4}, kNow, false)) == "2[2:4]");
}

TEST_CASE("the faster of two servers is chosen once both have been measured") {
    RouteTable table;
    table.set(make_server(1, 0, 4));
    table.set(make_server(2, 0, 4));
    CHECK(to_text(table.choose({0, 4}, kNow, false)) == "1[0:4]");
    table.answered(make_peer(1), 20ms);
    table.answered(make_peer(2), 5ms);
    CHECK(to_text(table.choose({0, 4}, kNow, false)) == "2[0:4]");
}

TEST_CASE("two fast servers beat a slow one") {
    RouteTable table;
    table.set(make_server(1, 0, 4));
    table.set(make_server(2, 0, 2));
    table.set(make_server(3, 2, 4));
    table.answered(make_peer(1), 100ms);
    table.answered(make_peer(2), 10ms);
    table.answered(make_peer(3), 10ms);
    CHECK(to_text(table.choose({0, 4}, kNow, false)) == "2[0:2] 3[2:4]");
}

TEST_CASE("who failed is avoided for 15 s, then twice as long, and comes back") {
    RouteTable table;
    table.set(make_server(1, 0, 4));
    table.set(make_server(2, 0, 4));
    table.failed(make_peer(1), "gone", kNow);
    CHECK(to_text(table.choose({0, 4}, kNow + 14s, false)) == "2[0:4]");
    CHECK(to_text(table.choose({0, 4}, kNow + 15s, false)) == "1[0:4]");
    table.failed(make_peer(1), "gone", kNow + 15s);
    CHECK(to_text(table.choose({0, 4}, kNow + 44s, false)) == "2[0:4]");
    CHECK(to_text(table.choose({0, 4}, kNow + 45s, false)) == "1[0:4]");
    table.answered(make_peer(1), std::nullopt);
    table.failed(make_peer(1), "gone", kNow);
    CHECK(*table.avoided_until(make_peer(1)) == kNow + 15s);
}

TEST_CASE("an avoided server is taken where there is no other way, if the caller says so") {
    RouteTable table;
    table.set(make_server(1, 0, 2));
    table.set(make_server(2, 2, 4));
    table.failed(make_peer(2), "connection reset", kNow);
    const auto refused = table.choose({0, 4}, kNow, false);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::unavailable);
    CHECK(to_text(refused).find("nobody serves blocks 2:4 of 0:4") != std::string::npos);
    CHECK(to_text(refused).find("connection reset") != std::string::npos);
    CHECK(to_text(table.choose({0, 4}, kNow, true)) == "1[0:2] 2[2:4]");
    CHECK_FALSE(table.has_alternative(make_peer(1), {0, 2}, kNow));
}

TEST_CASE("every gap is named") {
    RouteTable table;
    CHECK(to_text(table.choose({0, 4}, kNow, true)) ==
          "nobody serves blocks 0:4 of 0:4 (no server is known)");
    table.set(make_server(1, 1, 2));
    table.set(make_server(2, 3, 4));
    CHECK(to_text(table.choose({0, 6}, kNow, true))
              .starts_with("nobody serves blocks 0:1, 2:3, 4:6 of 0:6"));
}

TEST_CASE("what is told about a known server replaces what was known; it is there once") {
    RouteTable table;
    table.set(make_server(1, 0, 2));
    table.set(make_server(1, 2, 4));
    CHECK(table.servers().size() == 1);
    CHECK(to_text(table.choose({2, 4}, kNow, false)) == "1[2:4]");
    table.remove(make_peer(1));
    CHECK(table.servers().empty());
}

}  // namespace
}  // namespace kwaai::petals
