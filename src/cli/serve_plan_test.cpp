#include <doctest/doctest.h>

#include "cli/demo.hpp"
#include "cli/serve.hpp"

namespace kwaai::cli {
namespace {

constexpr const char* kId = "12D3KooWJoQqKqV9viRJf24LmG4f4GeSJBfTD8sboq1roFGFAd1s";

std::string peer(const std::string& rest) {
    return "/ip4/192.168.1.7/tcp/4001/p2p/" + (kId + rest);
}

Errc code_of(const ServeFlags& flags) {
    const auto plan = plan_serving(flags);
    REQUIRE(!plan);
    return plan.error().code;
}

TEST_CASE("without flags a node serves HTTP on loopback and no blocks") {
    const auto plan = plan_serving({});
    REQUIRE(plan);
    CHECK(!plan->serves_blocks);
    REQUIRE(plan->http);
    CHECK(io::to_string(*plan->http) == "127.0.0.1:8080");
}

TEST_CASE("with --blocks a node serves these on loopback and no HTTP") {
    ServeFlags flags;
    flags.blocks = "10:20";
    const auto plan = plan_serving(flags);
    REQUIRE(plan);
    CHECK(plan->serves_blocks);
    REQUIRE(plan->range);
    CHECK(plan->range->begin == 10);
    CHECK(plan->range->end == 20);
    REQUIRE(plan->listen.size() == 1);
    CHECK(plan->listen[0].to_text() == "/ip4/127.0.0.1/tcp/0");
    CHECK(!plan->http);
}

TEST_CASE("with --listen alone a node serves all blocks there, and HTTP") {
    ServeFlags flags;
    flags.listen = {"/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001"};
    const auto plan = plan_serving(flags);
    REQUIRE(plan);
    CHECK(plan->serves_blocks);
    CHECK(!plan->range);
    CHECK(plan->listen.size() == 2);
    CHECK(plan->http);
}

TEST_CASE("with --blocks and --http a node serves both") {
    ServeFlags flags;
    flags.blocks = "0:1";
    flags.http = "[::1]:81";
    flags.swarm.peers = {peer("")};
    const auto plan = plan_serving(flags);
    REQUIRE(plan);
    CHECK(plan->serves_blocks);
    REQUIRE(plan->http);
    CHECK(plan->http->port == 81);
    CHECK(plan->peers.size() == 1);
}

TEST_CASE("flags of a node that make no sense together are refused") {
    ServeFlags identity;
    identity.identity = "node.key";
    CHECK(code_of(identity) == Errc::invalid_argument);
    ServeFlags lonely;
    lonely.swarm.finds_neighbours = true;
    CHECK(code_of(lonely) == Errc::invalid_argument);
    lonely.swarm.finds_servers = true;
    CHECK(plan_serving(lonely));
    ServeFlags half;
    half.blocks = "0:1";
    half.tls_certificate = "chain.pem";
    CHECK(code_of(half) == Errc::invalid_argument);
    half.tls_key = "key.pem";
    CHECK(plan_serving(half).has_value());
    half.blocks.reset();
    CHECK(code_of(half) == Errc::invalid_argument);
    ServeFlags peers;
    peers.blocks = "0:1";
    peers.swarm.peers = {peer("")};
    CHECK(code_of(peers) == Errc::invalid_argument);
}

TEST_CASE("addresses to listen on that are none are refused with an example") {
    for (const char* text : {"", "127.0.0.1:4001", "/ip4/256.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp"}) {
        ServeFlags flags;
        flags.listen = {text};
        const auto plan = plan_serving(flags);
        REQUIRE_MESSAGE(!plan, text);
        CHECK(plan.error().code == Errc::invalid_argument);
        CHECK(plan.error().context.find("/ip4/0.0.0.0/tcp/4001") != std::string::npos);
    }
}

TEST_CASE("blocks are two numbers, the first below the second") {
    const auto range = parse_blocks("0:4294967295");
    REQUIRE(range);
    CHECK(range->end == 4294967295U);
    for (const char* text :
         {"", ":", "1", "1:", ":1", "1:1", "2:1", "a:b", "-1:2", "0:4294967296", "0:1:2", "0: 1"}) {
        const auto refused = parse_blocks(text);
        REQUIRE_MESSAGE(!refused, text);
        CHECK(refused.error().code == Errc::invalid_argument);
    }
}

TEST_CASE("a peer is an address with an identity, maybe with its blocks") {
    SwarmFlags flags;
    flags.peers = {peer(""), peer("=0:4")};
    const auto peers = parse_peers(flags);
    REQUIRE(peers);
    CHECK(!peers->at(0).blocks);
    REQUIRE(peers->at(1).blocks);
    CHECK(peers->at(1).blocks->end == 4);
}

TEST_CASE("peers that cannot be dialled are the caller's mistake") {
    for (const std::string& text : {std::string(),
                                    std::string("192.168.1.7:4001"),
                                    std::string("/ip4/192.168.1.7/tcp/4001"),
                                    peer("x"),
                                    peer("="),
                                    peer("=4:0"),
                                    peer("=0-4")}) {
        SwarmFlags flags;
        flags.peers = {text};
        const auto peers = parse_peers(flags);
        REQUIRE_MESSAGE(!peers, text);
        CHECK(peers.error().code == Errc::invalid_argument);
    }
}

TEST_CASE("with a relay a node listens where it can be met directly, or for itself alone") {
    ServeFlags flags;
    flags.blocks = "0:1";
    flags.relays = {peer("")};
    const auto met = plan_serving(flags);
    REQUIRE(met);
    CHECK(met->listen[0].to_text() == "/ip4/0.0.0.0/tcp/0");
    CHECK(met->relaying.relays.size() == 1);
    CHECK(met->relaying.service == p2p::relay::Use::automatic);
    flags.is_relayed_only = true;
    const auto hidden = plan_serving(flags);
    REQUIRE(hidden);
    CHECK(hidden->listen[0].to_text() == "/ip4/127.0.0.1/tcp/0");
    CHECK(hidden->relaying.is_relayed_only);
}

TEST_CASE("a relay that strangers may use grants little, one that was told to be one enough") {
    ServeFlags flags;
    flags.blocks = "0:1";
    const auto strangers = plan_serving(flags);
    REQUIRE(strangers);
    CHECK(strangers->relaying.limits.circuit == p2p::relay::RelayLimits().circuit);
    flags.relay_service = "on";
    const auto told = plan_serving(flags);
    REQUIRE(told);
    CHECK(told->relaying.limits.circuit == node::kTextCircuit);
}

TEST_CASE("the demo cuts a model in three and gives the middle to two") {
    const auto thirty = demo_split(30);
    REQUIRE(thirty);
    REQUIRE(thirty->size() == 4);
    CHECK(thirty->at(0).end == 10);
    CHECK(thirty->at(1).begin == 10);
    CHECK(thirty->at(2).end == 20);
    CHECK(thirty->at(3).end == 30);
    for (const std::uint32_t count : {3U, 4U, 5U, 31U, 4000000000U}) {
        const auto split = demo_split(count);
        REQUIRE(split);
        CHECK(split->at(0).begin == 0);
        CHECK(split->at(0).end == split->at(1).begin);
        CHECK(split->at(1).end == split->at(3).begin);
        CHECK(split->at(3).end == count);
        for (const auto& range : *split)
            CHECK(range.begin < range.end);
    }
    CHECK(!demo_split(2));
    CHECK(!demo_split(0));
}

}  // namespace
}  // namespace kwaai::cli
