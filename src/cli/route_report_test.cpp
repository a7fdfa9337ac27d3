#include "cli/route_report.hpp"

#include <array>

#include <doctest/doctest.h>

#include "crypto/key.hpp"

namespace kwaai::cli {
namespace {

using namespace std::chrono_literals;
using HopReport = petals::InferenceSession::HopReport;

HopReport hop(std::uint8_t peer, inference::BlockRange range, io::Duration took) {
    std::array<std::byte, 32> seed{};
    seed[0] = std::byte{peer};
    const auto key = crypto::PrivateKey::ed25519_from_seed(seed);
    const petals::KnownServer server{
        .peer = p2p::PeerId::of(key.public_key()), .prefix = "model", .range = range};
    return {.hop = {.server = server, .range = range}, .last_step = took};
}

TEST_CASE("a route's times are the medians of its steps, without the one that reads the prompt") {
    RouteReport report;
    report.step({hop(1, {0, 2}, 900ms), hop(2, {2, 5}, 800ms)});
    for (const auto took : {1ms, 9ms, 2ms})
        report.step({hop(1, {0, 2}, took), hop(2, {2, 5}, took * 10)});
    const auto routes = report.routes();
    REQUIRE(routes.size() == 1);
    CHECK(routes[0][0].median() == 2);
    CHECK(routes[0][1].median() == 20);
    CHECK(report.steps() == 4);
}

TEST_CASE("a hop that changes begins another route") {
    RouteReport report;
    report.step({hop(1, {0, 2}, 1ms), hop(2, {2, 5}, 1ms)});
    report.step({hop(1, {0, 2}, 1ms), hop(3, {2, 5}, 50ms)});
    report.step({hop(1, {0, 2}, 1ms), hop(3, {2, 5}, 3ms)});
    const auto routes = report.routes();
    REQUIRE(routes.size() == 2);
    CHECK(routes[0][1].peer != routes[1][1].peer);
    CHECK(routes[1][1].median() == 3);
    report.reset();
    CHECK(report.routes().empty());
    CHECK(report.steps() == 0);
}

TEST_CASE("a route is told by the ends of its peers' ids, with times where there are any") {
    const std::vector<HopTimes> route = {
        {.peer = "12D3KooWabcdef", .range = {0, 2}, .milliseconds = {1.234}},
        {.peer = "short", .range = {2, 5}, .milliseconds = {}}};
    CHECK(route_for_people(route) == "abcdef 0:2 1.23 ms > short 2:5");
    CHECK(route_for_people({}).empty());
}

}  // namespace
}  // namespace kwaai::cli
